"""Which thread of a process is borrowed."""

import pytest

from remora.boot.attach import parked
from remora.boot.attach.x86_64 import X86_64

BUSY = []
READ = [0, 0, 0x1000, 1]
FUTEX, FUTEX_WITH_END = [202, 0x1000, 0x189, 0, 0], [202, 0x1000, 0x189, 0, 0x2000]
FUTEX_OF_C = [202, 0x1000, 0x80, 2, 0]
EPOLL = [232, 3, 0x1000, 16, 0xFFFFFFFF]


def chosen(monkeypatch, *calls):
    monkeypatch.setattr(parked, "threads_of", lambda pid: range(1, len(calls) + 1))
    monkeypatch.setattr(parked, "read_system_call", lambda pid, n: calls[n - 1])
    search = parked.find_parked(1, X86_64)
    while True:
        try:
            next(search)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize(
    ("calls", "number"),
    [
        ([BUSY, READ], 2),
        ([EPOLL, READ, FUTEX], 3),
        ([BUSY, EPOLL], 2),
        ([FUTEX_OF_C, EPOLL], 2),
        ([BUSY, FUTEX_WITH_END], 2),
    ],
)
def test_a_thread_that_sleeps_and_can_be_resumed_is_chosen(monkeypatch, calls, number):
    assert chosen(monkeypatch, *calls) == number


def test_a_wait_for_the_interpreter_lock_is_chosen_after_what_sleeps(monkeypatch):
    assert chosen(monkeypatch, FUTEX_WITH_END, READ) == 2


def test_nobody_is_chosen_where_all_are_busy_or_hold_a_lock_of_c(monkeypatch):
    assert chosen(monkeypatch, BUSY, FUTEX_OF_C) == 0
