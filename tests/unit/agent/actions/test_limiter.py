from __future__ import annotations

import pytest

from remora.agent.actions import Limiter
from remora.agent.runtime import originals
from remora.protocol import Limit

SECOND = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 1000 * SECOND

    def read(self) -> int:
        return self.now

    def seconds(self) -> float:
        return self.now / SECOND


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(originals, "monotonic_ns", clock.read)
    monkeypatch.setattr(originals, "time_ns", clock.read)
    monkeypatch.setattr(originals, "monotonic", clock.seconds)
    return clock


def passes(limiter: Limiter, clock: Clock, steps: int, step_ns: int) -> int:
    """How many of so many firings a compiled gate would let through."""
    used = 0
    for _ in range(steps):
        if clock.seconds() >= limiter.open_at and limiter.use():
            used += 1
        clock.now += step_ns
    return used


def test_a_second_s_worth_may_come_at_once(clock: Clock) -> None:
    assert passes(Limiter(Limit(rate=5), 100), clock, 50, 0) == 5


def test_after_the_burst_one_firing_passes_each_period(clock: Clock) -> None:
    limiter = Limiter(Limit(rate=5), 100)
    passes(limiter, clock, 50, 0)
    assert passes(limiter, clock, 100, SECOND // 50) == pytest.approx(10, abs=1)


def test_the_rate_holds_over_a_long_time(clock: Clock) -> None:
    limiter = Limiter(Limit(rate=100), 5)
    assert passes(limiter, clock, 10_000, SECOND // 1000) == pytest.approx(1100, abs=5)


def test_a_rate_below_one_a_second_lets_one_pass_each_period(clock: Clock) -> None:
    limiter = Limiter(Limit(rate=0.1), 5)
    assert passes(limiter, clock, 300, SECOND // 10) == 3


def test_the_default_rate_counts_where_none_is_given(clock: Clock) -> None:
    assert passes(Limiter(Limit(), 7), clock, 50, 0) == 7


def test_the_share_of_time_closes_the_gate_until_the_debt_is_paid(clock: Clock) -> None:
    limiter = Limiter(Limit(rate=1e6, time=0.01), 5)
    assert limiter.use()
    limiter.spend(SECOND // 10)
    assert limiter.open_at == clock.seconds() + 9
    clock.now += 20 * SECOND
    limiter.spend(SECOND // 1000)
    assert limiter.open_at <= clock.seconds()


def test_hits_end_the_life_of_a_probe(clock: Clock) -> None:
    limiter = Limiter(Limit(rate=1000, hits=3), 5)
    assert [limiter.use() for _ in range(3)] == [True] * 3
    assert limiter.end == "all its hits are used"
    assert limiter.open_at > clock.seconds() + 10**6
    assert not limiter.use()


def test_expiry_ends_the_life_of_a_probe(clock: Clock) -> None:
    limiter = Limiter(Limit(rate=1000), 5, expires_at=clock.now + SECOND)
    assert limiter.use()
    clock.now += SECOND
    assert not limiter.use()
    assert limiter.end == "its time is over"


def test_what_was_closed_for_good_is_not_opened_by_a_later_firing(clock: Clock) -> None:
    limiter = Limiter(Limit(rate=1000), 5)
    limiter.close("removed")
    closed = limiter.open_at
    limiter.spend(10)
    limiter.use()
    assert limiter.open_at == closed
