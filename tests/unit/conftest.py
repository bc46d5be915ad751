"""Objects of an app that raise whenever any code of theirs runs."""

import pytest


class Touched(BaseException):
    """Raised by an exploding object; a BaseException so that nothing swallows it."""


def explode(*args, **kwargs):
    raise Touched


class _ExplodingMeta(type):
    __hash__ = __eq__ = __getattribute__ = __instancecheck__ = explode
    __subclasscheck__ = __call__ = __repr__ = __len__ = __iter__ = explode


def _make(*bases, **fields):
    """An instance of a class where everything that can be overridden raises."""
    names = (
        "getattr getattribute eq ne hash len bool iter contains repr str call getitem "
        "int float index lt le gt ge format missing reversed next length_hint copy "
        "deepcopy reduce reduce_ex sizeof dir add radd sub mul truediv mod neg abs "
        "enter exit iadd or and xor trunc round bytes complex instancecheck"
    )
    namespace = {f"__{name}__": explode for name in names.split()}
    namespace["__class__"] = property(explode)
    namespace["computed"] = property(explode)
    namespace["items"] = namespace["keys"] = namespace["get"] = explode
    cls = type.__call__(_ExplodingMeta, "Exploding", bases, namespace)
    base = bases[0] if bases else object
    made = base.__new__(cls)
    for name, value in fields.items():
        object.__setattr__(made, name, value)
    return made


@pytest.fixture
def exploding():
    """A factory: bases, then fields by name."""
    return _make


@pytest.fixture
def touched():
    """What the exploding objects raise."""
    return Touched
