from remora.agent.reporting import Backoff
from remora.agent.reporting.backoff import draw


def test_delays_double_up_to_a_limit_and_start_again():
    backoff = Backoff(random=lambda: 0.5)
    delays = [backoff.next_s() for _ in range(9)]
    assert delays == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0]
    backoff.reset()
    assert backoff.next_s() == 0.2


def test_jitter_is_half_of_the_delay_either_way():
    assert Backoff(random=lambda: 0.0).next_s() == 0.1
    assert 0.29 < Backoff(random=lambda: 0.999).next_s() < 0.3
    drawn = [draw() for _ in range(200)]
    assert all(0 <= number < 1 for number in drawn)
    assert len(set(drawn)) > 190
