"""Frozen values: what `@frozen` makes is what a frozen dataclass would be."""

from __future__ import annotations

import dataclasses

import pytest

from remora.values import field, frozen, frozen_by_identity, replace


@frozen
class Point:
    """Required, with a default, made anew, and not compared."""

    x: int
    y: int = 2
    path: list[int] = field(default_factory=list)
    seen: str = field(default="", compare=False, repr=False)


@frozen_by_identity
class Held:
    """Holds an object of the app."""

    value: object


@frozen
class Empty:
    """Has no field at all."""


def test_the_first_value_and_later_ones_are_made_alike():
    @frozen
    class Pair:
        x: int
        y: int = 2

    for values in (Pair(1), Pair(1, 2), Pair(x=1), Pair(1, y=2)):
        assert (values.x, values.y) == (1, 2)


def test_each_value_gets_a_default_of_its_own():
    assert Point(1).path is not Point(1).path


def test_wrong_arguments_are_refused():
    @frozen
    class Fresh:
        name: str

    for _ in range(2):
        with pytest.raises(TypeError, match="missing 1 required"):
            Fresh()
        with pytest.raises(TypeError, match="unexpected keyword"):
            Fresh("a", colour="red")
    assert Fresh("a").name == "a"


def test_a_value_cannot_be_changed():
    point = Point(1)
    for name in ("x", "new"):
        with pytest.raises(AttributeError):
            setattr(point, name, 3)
    with pytest.raises(AttributeError):
        del point.x
    assert not hasattr(point, "__dict__")


def test_values_are_equal_by_the_fields_that_count():
    @frozen
    class Other:
        x: int

    assert Point(1, seen="a") == Point(1, seen="b")
    assert Point(1) != Point(2)
    assert Other(1) != Point(1)
    assert {Other(1): "found"}[Other(1)] == "found"
    assert Empty() == Empty()
    assert hash(Empty()) == hash(Empty())


def test_values_that_hold_objects_of_the_app_never_call_them():
    class Hostile:
        def __eq__(self, other):
            raise AssertionError

        def __hash__(self):
            raise AssertionError

        def __repr__(self):
            raise AssertionError

    hostile = Hostile()
    assert Held(hostile) != Held(hostile)
    assert "Hostile" not in repr(Held(hostile))


def test_a_value_shows_its_fields():
    assert repr(Point(1, seen="a")) == "Point(x=1, y=2, path=[])"


def test_a_copy_has_other_contents_in_some_fields():
    point = Point(1, path=[1])
    assert replace(point, y=9) == Point(1, 9, [1])
    assert replace(point).path is point.path
    with pytest.raises(TypeError):
        replace(point, colour="red")


def test_who_asks_dataclasses_finds_one():
    assert dataclasses.is_dataclass(Point)
    names = [each.name for each in dataclasses.fields(Point(1))]
    assert names == ["x", "y", "path", "seen"]
    assert dataclasses.replace(Point(1), y=9) == Point(1, 9)
    assert dataclasses.asdict(Point(1)) == {"x": 1, "y": 2, "path": [], "seen": ""}
    match Point(1):
        case Point(x, y):
            assert (x, y) == (1, 2)


def test_a_subclass_makes_values_of_its_own():
    class Named(Point):
        """A plain class above one of values."""

    @frozen
    class Base:
        a: int

    @frozen
    class Derived(Base):
        b: int = 1

    assert Derived(1).b == 1
    assert Base(2).a == 2
    assert Named(1).y == 2
