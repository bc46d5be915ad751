from __future__ import annotations

import pytest

from remora.agent.actions import Firings, Limiter, Overrun
from remora.agent.actions.limiter import WINDOW_S, WINDOWS
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


class Load:
    """Calls that come to a gate of the default share, and the breaker beside it."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.firings = Firings("p", Limiter(Limit(rate=10_000), 5), lambda *_: True)
        self.overrun = Overrun(clock.now)

    def window(self, calls_a_second: int, cpu_us: int) -> str:
        """One window of such calls, and what the breaker says at its end."""
        limiter = self.firings.limiter
        for _ in range(WINDOW_S * calls_a_second):
            if self.clock.seconds() < limiter.open_at:
                limiter.suppressed += 1
            elif limiter.use():
                self.firings.count += 1
                self.firings.spend(cpu_us * 1000)
            self.clock.now += SECOND // calls_a_second
        return self.overrun.look(self.clock.now, self.firings)


def test_a_probe_that_stays_over_its_share_of_time_has_to_end_with_figures(
    clock: Clock,
) -> None:
    load = Load(clock)
    said = [load.window(100, 1000) for _ in range(WINDOWS)]
    assert said[:-1] == [""] * (WINDOWS - 1)
    assert said[-1].startswith(
        "over its share of time, 1%, in 6 windows of 10 s on end"
    )
    # a second's worth at once, then one each tenth of a second
    fired = load.firings.count
    assert fired == pytest.approx(610, abs=5)
    assert (
        f": {fired} calls took 1000 µs of CPU each, and {6000 - fired} mo" in said[-1]
    )


def test_a_window_within_the_share_begins_the_count_anew(clock: Clock) -> None:
    load = Load(clock)
    for _ in range(3):
        assert not any(load.window(100, 1000) for _ in range(WINDOWS - 1))
        assert not load.window(1, 1000)


def test_a_probe_that_is_held_back_now_and_then_stays(clock: Clock) -> None:
    load = Load(clock)
    # 19 a second where 10 have room: fewer are turned away than let in
    assert not any(load.window(19, 1000) for _ in range(3 * WINDOWS))
    assert load.firings.limiter.suppressed_by["time"] > 0


def test_who_is_held_back_by_its_rate_is_not_over_its_time(clock: Clock) -> None:
    load = Load(clock)
    load.firings.limiter = Limiter(Limit(rate=1), 5)
    assert not any(load.window(100, 10) for _ in range(2 * WINDOWS))
    assert load.firings.limiter.suppressed_by["rate"] > 0


def test_windows_are_as_long_as_they_are_however_often_one_looks(clock: Clock) -> None:
    load = Load(clock)
    load.window(100, 1000)
    for _ in range(10 * WINDOWS):
        load.firings.limiter.suppressed += 1
        assert load.overrun.look(clock.now, load.firings) == ""
