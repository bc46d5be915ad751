import sys
import threading

from remora.agent.reporting import Drops, Queue


def test_records_come_out_in_order():
    queue = Queue()
    for number in range(5):
        assert queue.put((dict, number), 10)
    assert [queue.take()[1] for _ in range(5)] == [0, 1, 2, 3, 4]
    assert queue.take() is None


def test_when_full_the_newest_is_refused_and_counted():
    queue = Queue(limit_records=20)
    accepted = [queue.put((dict, number), 1) for number in range(30)]
    assert accepted == [True] * 18 + [False] * 12
    assert queue.take()[1] == 0
    assert queue.drops == {"queue-full": 12, "queue-bytes": 0}


def test_a_tenth_is_kept_for_what_is_important():
    queue = Queue(limit_records=20)
    while queue.put((dict,), 1):
        pass
    assert queue.put((dict,), 1, True)
    assert queue.put((dict,), 1, True)
    assert not queue.put((dict,), 1, True)


def test_bytes_are_bounded_and_come_free_again():
    queue = Queue(limit_bytes=1000)
    assert queue.put((dict,), 900)
    assert not queue.put((dict,), 1)
    assert queue.put((dict,), 100, True)
    assert queue.drops["queue-bytes"] == 1
    queue.take()
    assert queue.size_bytes == 100
    assert queue.put((dict,), 800)


def test_the_first_record_wakes_and_the_others_do_not():
    calls = []
    queue = Queue(on_first=lambda: calls.append(1))
    queue.put((dict,), 1)
    queue.put((dict,), 1)
    assert calls == [1]
    queue.rearm()
    queue.put((dict,), 1)
    assert calls == [1, 1]
    queue.after_fork_in_child()
    assert len(queue) == 0
    queue.put((dict,), 1)
    assert calls == [1, 1, 1]


def test_each_important_record_wakes_and_presses():
    calls = []
    queue = Queue(on_important=lambda: calls.append(len(queue)))
    queue.put((dict,), 1)
    assert (calls, queue.is_pressing) == ([], False)
    queue.put((dict,), 1, True)
    queue.put((dict,), 1, True)
    assert (calls, queue.is_pressing) == ([2, 3], True)
    queue.after_fork_in_child()
    assert not queue.is_pressing


def test_no_refusal_is_lost_between_threads():
    queue = Queue(limit_records=1000)
    refused = []

    def produce():
        refused.append(sum(not queue.put((dict,), 10) for _ in range(5000)))

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=produce) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert queue.drops["queue-full"] == sum(refused)
    assert len(queue) + sum(refused) == 20_000
    while queue.take() is not None:
        pass
    assert queue.size_bytes == 0


def test_a_record_put_while_one_is_put_does_no_harm():
    queue = Queue()
    queue._on_first = lambda: queue.put((dict, "inner"), 1)
    queue.put((dict, "outer"), 1)
    assert len(queue) == 2


def test_drops_are_given_once_and_again_when_the_batch_was_lost(heard):
    queue = Queue(limit_records=0)
    drops = Drops(queue, heard)
    queue.put((dict,), 1)
    assert drops.take() == {"queue-full": 1}
    assert drops.take() == {}
    drops.give_back({"queue-full": 1})
    queue.put((dict,), 1)
    assert drops.take() == {"queue-full": 2}
    assert drops.totals == {"queue-full": 2}
    assert len(heard.lines) == 1
