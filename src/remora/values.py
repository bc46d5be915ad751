"""Frozen values whose classes cost little to define.

`@dataclass(frozen=True, slots=True)` compiles half a dozen functions for each class, at
0.8 ms of CPU, and comes with `inspect`: for the agent's classes that was a third of its
start in every process. `@frozen` makes what such a dataclass would be, but without
compiling anything: its `__init__` is compiled when the first value is made, and most
processes never make one of most classes. `dataclasses.replace`, `fields` and all who
ask `dataclasses` find a dataclass; the module is imported when they ask.
"""

from __future__ import annotations

from operator import attrgetter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn, TypeVar, dataclass_transform

    Value = TypeVar("Value")
else:

    def dataclass_transform(**_: object) -> Callable[[object], object]:
        """Tell type checkers; at run time `typing` is not worth its import."""
        return lambda function: function


_ABSENT = object()


class _Field:
    """What `field` says of one field."""

    __slots__ = ("compare", "default", "default_factory", "repr")

    def __init__(self, default: object = _ABSENT) -> None:
        self.default = default
        self.default_factory: Any = None
        self.compare = True
        self.repr = True


def field(
    *,
    default: Any = _ABSENT,
    default_factory: Callable[[], Any] | None = None,
    compare: bool = True,
    repr: bool = True,  # noqa: A002 - the word of dataclasses
) -> Any:
    """A field with more to say than its default; the words are those of dataclasses."""
    made = _Field(default)
    made.default_factory = default_factory
    made.compare = compare
    made.repr = repr
    return made


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[Value]) -> type[Value]:
    """Make a class one of frozen values with slots, equal by their fields."""
    made, fields = _add_slots(cls)
    compared = [name for name, each in fields.items() if each.compare]
    made.__eq__, made.__hash__ = _make_comparison(compared)
    if "__repr__" not in made.__dict__:
        shown = [name for name, each in fields.items() if each.repr]
        made.__repr__ = _make_repr(shown)
    return made


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen_by_identity(cls: type[Value]) -> type[Value]:
    """The same, but each value equals itself alone and is shown without its fields.

    For those that hold the app's objects, whose methods must not run.
    """
    return _add_slots(cls)[0]


def replace(value: Value, **changes: object) -> Value:
    """A copy of a frozen value with other contents in some fields."""
    cls: Any = type(value)
    for name in cls.__match_args__:
        if name not in changes:
            changes[name] = getattr(value, name)
    return cls(**changes)


def _add_slots(cls: type[Any]) -> tuple[Any, dict[str, _Field]]:
    """The class again, with slots, `__init__` and no way to change a value."""
    namespace = dict(cls.__dict__)
    own: dict[str, _Field] = {}
    for name in namespace.get("__annotations__", ()):
        default = namespace.pop(name, _ABSENT)
        own[name] = default if isinstance(default, _Field) else _Field(default)
    inherited: dict[str, _Field] = getattr(cls, "__remora_fields__", {})
    fields = {**inherited, **own}
    for name in ("__dict__", "__weakref__"):
        namespace.pop(name, None)
    namespace["__slots__"] = tuple(own)
    namespace["__match_args__"] = tuple(fields)
    namespace["__remora_fields__"] = fields
    namespace["__dataclass_fields__"] = _LateFields()
    namespace["__setattr__"] = namespace["__delattr__"] = _refuse
    metaclass: Any = type(cls)
    made = metaclass(cls.__name__, cls.__bases__, namespace)
    made.__init__ = _make_first_init(made, fields)
    return made, fields


def _make_first_init(
    cls: type[Any], fields: Mapping[str, _Field]
) -> Callable[..., None]:
    """The `__init__` of the first value, which puts a compiled one in its place."""

    def __init__(self: object, *values: object, **named: object) -> None:  # noqa: N807 - it stands for one
        init = cls.__init__ = _compile_init(cls, fields)
        init(self, *values, **named)

    return __init__


def _compile_init(cls: type[Any], fields: Mapping[str, _Field]) -> Callable[..., None]:
    names: dict[str, Any] = {"_absent": _ABSENT}
    parameters: list[str] = []
    lines: list[str] = []
    for name, each in fields.items():
        parameter = value = name
        if each.default_factory is not None:
            names[f"_make_{name}"] = each.default_factory
            parameter = f"{name}=_absent"
            value = f"_make_{name}() if {name} is _absent else {name}"
        elif each.default is not _ABSENT:
            names[f"_default_{name}"] = each.default
            parameter = f"{name}=_default_{name}"
        parameters.append(parameter)
        # by the slot itself: `object.__setattr__` takes twice as long to find it
        names[f"_set_{name}"] = getattr(cls, name).__set__
        lines.append(f"    _set_{name}(self, {value})\n")
    text = f"def __init__(self, {', '.join(parameters)}):\n{''.join(lines) or ' pass'}"
    # Compiled first: running a text would reset what CPython notes of an unhandled
    # Ctrl-C, and the app, about to end by it, would exit with another status
    # (run_eval_code_obj in Python/pythonrun.c).
    code = compile(text, "<remora values>", "exec")
    exec(code, names)  # noqa: S102 - as dataclasses do: only names of fields are in it
    return names["__init__"]


def _make_comparison(
    names: list[str],
) -> tuple[Callable[[Any, object], bool], Callable[[Any], int]]:
    """`__eq__` and `__hash__` over these fields."""
    contents: Callable[[Any], object] = attrgetter(*names) if names else type

    def __eq__(self: Any, other: object) -> bool:  # noqa: N807 - it stands for one
        if type(other) is not type(self):
            return NotImplemented
        return contents(self) == contents(other)

    def __hash__(self: Any) -> int:  # noqa: N807 - it stands for one
        return hash(contents(self))

    return __eq__, __hash__


def _make_repr(names: list[str]) -> Callable[[Any], str]:
    def __repr__(self: Any) -> str:  # noqa: N807 - it stands for one
        shown = (f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__qualname__}({', '.join(shown)})"

    return __repr__


def _refuse(self: object, name: str, *_value: object) -> NoReturn:
    raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")


class _LateFields:
    """Stands as `__dataclass_fields__` until somebody asks for it."""

    def __get__(self, value: object, cls: type[Any]) -> dict[str, Any]:
        # Late, because it takes longer than all that is above, and few ask.
        import dataclasses

        described: dict[str, _Field] = cls.__remora_fields__
        namespace: dict[str, Any] = {"__annotations__": dict.fromkeys(described, "Any")}
        for name, each in described.items():
            options: dict[str, Any] = {"compare": each.compare, "repr": each.repr}
            if each.default_factory is not None:
                options["default_factory"] = each.default_factory
            elif each.default is not _ABSENT:
                options["default"] = each.default
            namespace[name] = dataclasses.field(**options)
        plain: Any = type(cls.__name__, (), namespace)
        fields = dataclasses.dataclass(init=False, repr=False, eq=False)(plain)
        cls.__dataclass_fields__ = fields.__dataclass_fields__
        return cls.__dataclass_fields__
