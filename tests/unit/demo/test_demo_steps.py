"""Each step of the demo must be able to fail: here the server is the one that lies."""

import itertools
import time
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest

from remora.demo import steps
from remora.demo.narration import Narration
from remora.demo.operator import StepError
from remora.demo.steps import Scene

BOTH = Counter({"installed": 2})


class FakeOperator:
    """The server's answers, as a test wants them."""

    def __init__(self):
        self.connected = []
        self.added = []
        self.kept = {}
        self.state = BOTH

    def instances(self, app):
        assert app == "shop"
        return self.connected

    def add_probe(self, probe):
        self.added.append(probe["id"])

    def remove_probe(self, identifier):
        self.added.remove(identifier)

    def probes(self):
        return list(self.added)

    def states(self, identifier):
        assert identifier in self.added
        return self.state

    def records(self, identifier, limit=200):
        return self.kept.get(identifier, [])[:limit]


class Shop:
    """Answers as workers with these pids, in turn."""

    def __init__(self, *pids):
        self.pids = itertools.cycle(pids)

    def get(self, path):
        assert path == "/_identity"
        pid = next(self.pids)
        return SimpleNamespace(json=lambda: {"pid": pid})


@pytest.fixture
def operator():
    return FakeOperator()


@pytest.fixture
def scene(operator, tmp_path):
    """A scene with so little time that a step which waits in vain fails at once."""
    return Scene(
        operator=operator,
        shop=SimpleNamespace(),
        plugins=tmp_path,
        traffic=SimpleNamespace(orders=0, requests=1, failures=[]),
        narration=Narration(brief=True),
        watch_s=0.0,
        deadline=time.monotonic() + 0.3,
    )


def instance(pid):
    return {"pid": pid, "app": "shop", "version": "4.2", "python": "3", "state": "c"}


def charge(number, amount=500, plan="pro", worker="a"):
    message = f"charged {amount} to alice ({plan})"
    return {"id": number, "instance": worker, "message": message}


def big(amount=20000, plan="free"):
    values = {"amount": amount, "account.plan": plan, "account.name": "bob"}
    return {"id": amount, "instance": "a", "values": values}


def aggregate(plan, count=2, total=700, in_buckets=2):
    histogram = {"buckets": {"-8": in_buckets}, "unit": "ms"}
    row = {"key": [plan], "count": count, "sum": total, "histogram": histogram}
    return {"id": 1, "rows": [row]}


def test_two_workers_must_be_connected(scene, operator):
    operator.connected = [instance(1)]
    with pytest.raises(StepError, match="registration of 2 workers"):
        steps.wait_for_workers(scene)
    operator.connected = [instance(1), instance(2)]
    scene = replace(scene, shop=Shop(1, 2), deadline=time.monotonic() + 1)
    assert "1 and 2" in steps.wait_for_workers(scene)


def test_a_worker_that_has_not_imported_the_app_yet_is_waited_for(scene, operator):
    operator.connected = [instance(1), instance(2)]
    scene = replace(scene, shop=Shop(1))
    with pytest.raises(StepError, match="answer of each worker"):
        steps.wait_for_workers(scene)


def test_records_of_one_worker_alone_are_not_enough(scene, operator):
    operator.kept[steps.CHARGES] = [charge(n) for n in range(9)]
    with pytest.raises(StepError, match="from both workers"):
        steps.probe_held_reference(scene)


def test_records_of_both_workers_are(scene, operator):
    operator.kept[steps.CHARGES] = [charge(n, worker="ab"[n % 2]) for n in range(9)]
    assert "seen in both workers" in steps.probe_held_reference(scene)


def test_a_record_with_other_words_is_noticed(scene, operator):
    records = [charge(n, worker="ab"[n % 2]) for n in range(9)]
    operator.kept[steps.CHARGES] = [*records, {**records[0], "message": "charged ?"}]
    with pytest.raises(StepError, match="does not say what was charged"):
        steps.probe_held_reference(scene)


def test_a_probe_that_only_one_worker_has_is_noticed(scene, operator):
    operator.state = Counter({"installed": 1})
    with pytest.raises(StepError, match="installed of charges in both"):
        steps.probe_held_reference(scene)


def test_a_record_that_does_not_meet_the_condition_is_noticed(scene, operator):
    operator.kept[steps.BIG_FREE] = [big(), big(), big(amount=9999)]
    with pytest.raises(StepError, match="does not meet the condition"):
        steps.probe_with_condition(scene)


def test_a_condition_that_lets_everything_through_has_shown_nothing(scene, operator):
    operator.kept[steps.BIG_FREE] = [big()] * 3
    operator.kept[steps.CHARGES] = [charge(1, 20000, "free")]
    with pytest.raises(StepError, match="shown nothing"):
        steps.probe_with_condition(scene)


def test_a_condition_that_chooses_is_good(scene, operator):
    operator.kept[steps.BIG_FREE] = [big()] * 3
    operator.kept[steps.CHARGES] = [charge(1, 20000, "free"), charge(2)]
    assert "at least 1 other" in steps.probe_with_condition(scene)


def test_aggregates_are_added_up_over_workers(scene, operator):
    operator.kept[steps.BY_PLAN] = [
        aggregate("free"),
        aggregate("free", count=3, in_buckets=3),
        aggregate("pro"),
    ]
    assert steps.count_by_plan(scene).endswith("5 free, 2 pro")


def test_an_aggregate_that_does_not_add_up_is_noticed(scene, operator):
    operator.kept[steps.BY_PLAN] = [aggregate("free"), aggregate("pro", in_buckets=1)]
    with pytest.raises(StepError, match="does not add up"):
        steps.count_by_plan(scene)


def test_a_probe_on_a_missing_module_must_wait_first(scene):
    with pytest.raises(StepError, match="status waiting"):
        steps.probe_future_module(scene)
    assert not list(scene.plugins.iterdir())


def answering(*answers):
    """A shop that gives these answers in turn, over and over."""
    given = iter(answers * 1000)
    return SimpleNamespace(
        get=lambda path, **_: SimpleNamespace(json=lambda: next(given))
    )


def identity(pid, *, same=True):
    return {"pid": pid, "functions": {"shop.billing:charge": {"same": same}}}


def test_a_code_object_that_stays_changed_is_noticed(scene):
    probed = [identity(1, same=False), identity(2, same=False)]
    scene = replace(
        scene, shop=answering(*probed, *[identity(1), identity(2, same=False)] * 1000)
    )
    with pytest.raises(StepError, match=r"2: \['shop.billing:charge'\]"):
        steps.remove_all(scene)


def test_a_removal_of_what_never_was_there_is_noticed(scene):
    scene = replace(scene, shop=answering(identity(1), identity(2)))
    with pytest.raises(StepError, match="as long as there are probes"):
        steps.remove_all(scene)


def test_all_probes_are_removed_and_both_workers_asked(scene, operator):
    operator.added = ["one", "two"]
    probed = [identity(1, same=False), identity(2, same=False)]
    scene = replace(scene, shop=answering(*probed, identity(1), identity(2)))
    assert "1 and 2" in steps.remove_all(scene)
    assert operator.added == []


def test_silence_after_no_record_at_all_is_noticed(scene):
    scene = in_no_hurry(scene)
    with pytest.raises(StepError, match="silence shows nothing"):
        steps.check_silence(scene)


def test_an_error_that_a_customer_met_is_noticed(scene, operator):
    for identifier in (steps.CHARGES, steps.BIG_FREE, steps.BY_PLAN, steps.PLUGIN):
        operator.kept[identifier] = [big()]
    scene.traffic.failures.append("POST /checkout: 500")
    scene = in_no_hurry(scene)
    with pytest.raises(StepError, match="a customer met an error: POST /checkout"):
        steps.check_silence(scene)


def in_no_hurry(scene):
    """The same scene with time, and with customers who buy."""
    return replace(
        scene,
        traffic=RisingTraffic(scene.traffic.failures),
        deadline=time.monotonic() + 10,
    )


class RisingTraffic:
    """Customers who order something whenever they are looked at."""

    requests = 1

    def __init__(self, failures):
        self.failures = failures
        self._orders = 0

    @property
    def orders(self):
        self._orders += 1
        return self._orders
