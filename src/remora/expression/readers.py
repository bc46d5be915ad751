"""Readers of one attribute, which remember how objects of a class are read.

What is remembered is only a question that is asked again at each read: do the
dictionaries of the class and its bases still hold nothing, or the same, under the
names that matter? So a class may change at any time. Where the answer is yes and the
class has no `__getattr__` of its own, the interpreter's plain attribute access cannot
run code of the app, and it is by far the fastest way: some 70 ns with all the
questions, against 250 ns for a walk over the bases.
"""

from __future__ import annotations

from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING

from remora.expression.missing import MISSING, Missing
from remora.expression.reading import (
    IMMUTABLE_TYPE,
    AppValue,
    absent,
    find_in_type,
    is_stored,
    read_attribute,
    read_generic,
    type_dictionary,
    type_flags,
    type_mro,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_CLASSES_LIMIT = 64
"""Classes that one reader remembers, and so keeps alive; then it starts afresh."""

_OBJECT_GETATTRIBUTE = object.__dict__["__getattribute__"]
_UNSEEN = object()

_Dictionary = MappingProxyType[str, AppValue]


_Held = tuple[tuple[_Dictionary, ...], "Callable[[str], AppValue]", AppValue]
"""Where a class holds the name: its dictionary and those of the classes behind it, how
to ask for the name, and what the answer has to be."""

_Known = tuple[object, tuple[_Dictionary, ...], _Held | None]
"""A class, and what makes plain attribute access safe with its instances: the
dictionaries in front of the one that holds the name (all, if none does), and that one.
An exact tuple, because the interpreter unpacks these faster than named ones."""


class _Memory:
    """What one reader has learned of classes, and the way for those it cannot learn."""

    __slots__ = ("_name", "_plain", "_steps")

    def __init__(self, name: str) -> None:
        self._name = name
        self._plain: dict[int, _Known] = {}
        self._steps: dict[int, tuple[type, _Steps]] = {}

    def recall(self, cls: type) -> _Known | None:
        """How plain attribute access is safe with a class; None where it is not."""
        plain = self._plain.get(id(cls))
        if plain is not None or id(cls) in self._steps:
            return plain
        if cls is Missing or issubclass(cls, type):
            return None
        if len(self._plain) + len(self._steps) >= _CLASSES_LIMIT:
            self._plain.clear()
            self._steps.clear()
        # The class is kept beside its id, so that the id cannot come to mean another.
        steps = _steps(cls, self._name)
        if steps is None:
            return None
        if _has_plain_access(cls):
            plain = self._plain[id(cls)] = _learn(cls, self._name)
            return plain
        self._steps[id(cls)] = (cls, steps)
        return None

    def read(self, obj: AppValue) -> AppValue:
        """The attribute of an object that plain access is not safe with."""
        name = self._name
        learned = self._steps.get(id(type(obj)))
        if learned is None:
            return read_attribute(obj, name)
        for look_up, expected in learned[1]:
            if look_up(name) is not expected:
                return read_attribute(obj, name)
        try:
            return read_generic(obj, name)
        except AttributeError:
            return absent(obj)


def attribute_reader(name: str) -> Callable[[AppValue], AppValue]:
    """A function that reads this attribute of any object, and learns their classes."""
    template = _template(name, _Memory(name))
    code = template.__code__
    names = tuple(name if part == "placeholder" else part for part in code.co_names)
    return FunctionType(
        code.replace(co_names=names, co_filename="<remora reader>"),
        {"__builtins__": {"type": type, "AttributeError": AttributeError}},
        "read",
        None,
        template.__closure__,
    )


def _template(name: str, memory: _Memory) -> FunctionType:
    """The reader's function, but for the name of the attribute in its code."""
    known: _Known = (_UNSEEN, (), None)
    recall, read_otherwise, missing = memory.recall, memory.read, MISSING

    def read(obj: AppValue) -> AppValue:
        nonlocal known
        cls, before, held = known
        if type(obj) is not cls:  # pyright: ignore[reportUnnecessaryComparison] - AppValue is any type
            learned = recall(type(obj))
            if learned is None:
                return read_otherwise(obj)
            cls, before, held = known = learned
        for own in before:
            if name in own or "__getattr__" in own or "__getattribute__" in own:
                return read_otherwise(obj)
        if held is not None:
            after, look_up, expected = held
            if look_up(name) is not expected:
                return read_otherwise(obj)
            for own in after:
                if "__getattr__" in own or "__getattribute__" in own:
                    return read_otherwise(obj)
        try:
            return obj.placeholder
        except AttributeError:
            return missing

    return read  # pyright: ignore[reportReturnType] - a nested function is a FunctionType


def _has_plain_access(cls: type) -> bool:
    """Whether attributes of the instances are found by the interpreter's own rule."""
    return (
        find_in_type(cls, "__getattribute__") is _OBJECT_GETATTRIBUTE
        and find_in_type(cls, "__getattr__") is MISSING
    )


def _learn(cls: type, name: str) -> _Known:
    changeable = [
        (owner, type_dictionary(owner))
        for owner in type_mro(cls)
        if not type_flags(owner) & IMMUTABLE_TYPE
    ]
    dictionaries = tuple(dictionary for _, dictionary in changeable)
    for owner in type_mro(cls):
        dictionary = type_dictionary(owner)
        if name in dictionary:
            at = next(
                (i for i, (one, _) in enumerate(changeable) if one is owner), None
            )
            if at is None:
                # An immutable builtin holds it; what is behind cannot matter.
                return (cls, dictionaries, None)
            before, after = dictionaries[:at], dictionaries[at:]
            return (cls, before, (after, dictionary.get, dictionary[name]))
    return (cls, dictionaries, None)


_Steps = tuple[tuple["Callable[[str], AppValue]", AppValue], ...]


def _steps(cls: type, name: str) -> _Steps | None:
    """What each changeable class has to hold under the name; None if that is unsafe."""
    steps: list[tuple[Callable[[str], AppValue], AppValue]] = []
    for owner in type_mro(cls):
        dictionary = type_dictionary(owner)
        value = dictionary.get(name, _UNSEEN)
        if value is not _UNSEEN and not is_stored(value):
            return None
        if not type_flags(owner) & IMMUTABLE_TYPE:
            # None stands for "not there" too: reading either runs no code.
            steps.append((dictionary.get, None if value is _UNSEEN else value))
        if value is not _UNSEEN:
            break
    return tuple(steps)
