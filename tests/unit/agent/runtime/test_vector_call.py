"""Addresses through which objects are called, and the machine code behind ours."""

from __future__ import annotations

import pytest

from remora.agent.runtime import builtin_object, facts, type_object, vector_call
from remora.errors import CannotInterceptError

pytestmark = pytest.mark.skipif(
    bool(vector_call.WHY_NOT), reason="classes keep their address here"
)


class Sample:
    def __init__(self, value: int = 0) -> None:
        self.value = value


def test_an_entry_that_was_given_back_calls_the_object_itself() -> None:
    entry = vector_call.take(lambda *_: "ours")
    late = builtin_object.caller_of(entry.address, Sample)
    assert late(3) == "ours"
    vector_call.give_back(entry)
    # as a thread does that had read the address just before it was put back
    assert late(3).value == 3


def test_entries_are_used_again_as_late_as_can_be() -> None:
    first = vector_call.take(lambda: None)
    vector_call.give_back(first)
    second = vector_call.take(lambda: None)
    assert second.address != first.address
    vector_call.give_back(second)


def test_there_is_an_entry_for_each_of_many_classes() -> None:
    classes = [type(f"Kind{number}", (Sample,), {}) for number in range(250)]
    entries = [
        vector_call.take(lambda *_, cls=cls: cls.__name__)  # pyright: ignore[reportUnknownLambdaType] - a name for each
        for cls in classes
    ]
    for cls, entry in zip(classes, entries, strict=True):
        vector_call.lead_class(cls, entry.address)
    assert [cls() for cls in classes] == [cls.__name__ for cls in classes]
    for cls, entry in zip(classes, entries, strict=True):
        vector_call.restore_class(cls, 0)
        vector_call.give_back(entry)
    assert all(type(cls(1)) is cls for cls in classes)


def test_where_machine_code_is_forbidden_the_reason_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbid(code: bytes) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(vector_call, "_make_executable", forbid)
    monkeypatch.setattr(vector_call, "_free", [])
    assert vector_call._prepare() == vector_call.FORBIDDEN
    with pytest.raises(CannotInterceptError, match="no new machine code"):
        vector_call.take(lambda: None)


def test_another_machine_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "CAN_RUN_OUR_CODE", False)
    assert "x86-64" in vector_call._prepare()


def test_forced_failure_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REMORA_SELF_TESTS", "fail")
    monkeypatch.setattr(vector_call, "_make_executable", None)
    assert "self-test" in vector_call._prepare()


def test_no_page_of_ours_can_be_written_and_run() -> None:
    entry = vector_call.take(lambda: None)
    vector_call.give_back(entry)
    with open("/proc/self/maps", encoding="ascii") as maps:
        for line in maps:
            span, rights = line.split()[:2]
            start, end = (int(part, 16) for part in span.split("-"))
            if start <= entry.address < end:
                assert rights.startswith("r-x")
                return
    pytest.fail("the entry is in no mapping")


def test_classes_of_a_metaclass_are_called_so_for_as_long_as_one_is_led() -> None:
    class Meta(type):
        """With a call of its own, so that its classes are not called so."""

        def __call__(cls, *args: object) -> object:
            return super().__call__(*args)

    one, two = Meta("one", (), {}), Meta("two", (), {})
    entry = vector_call.take(lambda: "ours")
    assert not type_object.takes_vector_calls(Meta)
    for cls in (one, two):
        vector_call.lead_class(cls, entry.address)
    vector_call.restore_class(one, 0)
    assert type_object.takes_vector_calls(Meta)
    assert (type(one()), two()) == (one, "ours")
    vector_call.restore_class(two, 0)
    assert not type_object.takes_vector_calls(Meta)
    assert type(two()) is two
    vector_call.give_back(entry)
