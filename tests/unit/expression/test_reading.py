"""Safe reads: what they see, what they refuse, and that nothing of the app runs."""

import collections
import dataclasses
import datetime as dt
import enum
import functools

import pytest

from remora.expression import MISSING, Missing, attribute_reader, read_attribute


def explode(*args):
    raise AssertionError("code of the app ran")


class Account:
    plan = "free"

    def __init__(self):
        self.name = "alice"

    def method(self):
        return 1

    @property
    def limit(self):
        raise AssertionError

    @functools.cached_property
    def costly(self):
        return 7


@dataclasses.dataclass(slots=True)
class Slotted:
    size: int


Point = collections.namedtuple("Point", "x y")


class Color(enum.Enum):
    RED = "r"


class Level(enum.IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("obj", "name", "value"),
    [
        (Account(), "name", "alice"),
        (Account(), "plan", "free"),
        (Account(), "nothing", MISSING),
        (Account(), "limit", Missing("property")),
        (Account(), "method", Missing("method")),
        (Account(), "costly", Missing("property")),
        (Account, "plan", "free"),
        (Account, "method", Missing("method")),
        (Account, "limit", Missing("property")),
        (Slotted(4), "size", 4),
        (Point(1, 2), "y", 2),
        (Color.RED, "value", "r"),
        (Color.RED, "name", "RED"),
        (Level.HIGH, "value", 3),
        (ValueError("no"), "args", ("no",)),
        (OSError(2, "gone"), "errno", 2),
        (dt.date(2026, 1, 2), "year", 2026),
        (Missing("size"), "anything", Missing("size")),
        (pytest, "raises", pytest.raises),
        (None, "x", MISSING),
        (3, "real", 3),
    ],
)
def test_an_attribute_is_read_as_stored_or_missing_with_a_reason(obj, name, value):
    for reader in (lambda obj: read_attribute(obj, name), attribute_reader(name)):
        for _ in range(3):
            result = reader(obj)
            assert result is value or (type(value) is not Missing and result == value)


def test_an_object_that_explodes_when_touched_is_read_without_a_touch(exploding):
    obj = exploding(stored=5)
    for reader in (
        lambda name: read_attribute(obj, name),
        lambda name: attribute_reader(name)(obj),
    ):
        assert reader("stored") == 5
        assert reader("computed") is Missing("property")
        assert reader("nothing") is Missing("dynamic")


def test_a_cached_property_is_read_once_it_was_computed():
    account = Account()
    assert account.costly == 7
    assert attribute_reader("costly")(account) == 7


def test_a_reader_notices_that_the_class_got_a_property_afterwards():
    class Late:
        pass

    late = Late()
    late.plan = "paid"
    read = attribute_reader("plan")
    assert read(late) == "paid"
    Late.plan = property(explode)
    assert read(late) is Missing("property")
    del Late.plan
    assert read(late) == "paid"


def test_a_reader_notices_that_a_base_class_changed_its_value():
    class Base:
        plan = "free"

    class Derived(Base):
        pass

    read = attribute_reader("plan")
    assert read(Derived()) == "free"
    Base.plan = "paid"
    assert read(Derived()) == "paid"


def test_a_reader_that_meets_many_classes_forgets_the_first_and_stays_right():
    read = attribute_reader("number")
    for number in range(200):
        made = type(f"C{number}", (), {})()
        made.number = number
        assert read(made) == number


def test_a_local_proxy_is_not_resolved():
    from werkzeug.local import LocalProxy

    proxy = LocalProxy(explode)
    assert read_attribute(proxy, "user") is Missing("dynamic")


def test_reading_leaves_the_compact_layout_of_an_instance():
    import sys

    plain, read = Account(), Account()
    attribute_reader("name")(read)
    assert sys.getsizeof(plain) == sys.getsizeof(read)
