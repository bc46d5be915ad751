"""Calls of one object, led to a function of ours by a few bytes of machine code.

An object is called through an address: that of a class stands in the class itself, of
others where their type says (PEP 590). What stands there is code of C, which gets the
object as its first argument. An `Entry` is machine code for such an address: it puts a
function of ours in the place of the object and goes on to `PyObject_Vectorcall`. So
nothing that Python shows of the object changes, every caller is reached, and
exceptions pass as from any call.

Rules of this file
- Memory is written first and made executable after that, never both at once.
- It is kept until the process ends: a thread may have read an address just before it
  was put back. An entry that is not in use goes on to the object itself.
- Linux on x86-64 only: no other was there to try it on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from remora.agent.config import self_tests_must_fail
from remora.agent.runtime import facts, type_object
from remora.errors import CannotInterceptError

if TYPE_CHECKING:
    from collections.abc import Callable

try:
    import ctypes
except ImportError:
    ctypes = None

AppValue = Any

_WORD = 8
_BASIC_SIZE, _ITEM_SIZE, _VECTOR_CALL_OFFSET = 32, 40, 56
"""Where a type says so (CPython's Include/cpython/object.h, struct _typeobject)."""

_SIZE_OF_TYPE: int = vars(type)["__basicsize__"].__get__(type)
_PAGE = 4096
_STEP = 40
_READ, _WRITE, _EXECUTE, _PRIVATE, _ANONYMOUS = 1, 2, 4, 0x02, 0x20
"""PROT_ and MAP_ of <sys/mman.h>."""


class Entry:
    """Machine code that calls a function of ours, whatever object it is called for."""

    __slots__ = ("_field", "_function", "address")

    def __init__(self, address: int, field: AppValue) -> None:
        self.address = address
        self._field = field
        self._function: Callable[..., AppValue] | None = None

    def lead_to(self, function: Callable[..., AppValue] | None) -> None:
        """Call `function` from now on; None for the object itself."""
        self._field.value = 0 if function is None else id(function)
        self._function = function


FORBIDDEN = "the system allows this process no new machine code"

_free: list[Entry] = []
_tables: list[AppValue] = []
"""What the machine code reads; never freed."""


def take(function: Callable[..., AppValue]) -> Entry:
    """An entry that calls `function`. Raises CannotInterceptError for want of one."""
    if not _free:
        try:
            _free.extend(_make_entries())
        except OSError as error:
            raise CannotInterceptError(f"{FORBIDDEN}: {error}") from error
    entry = _free.pop(0)
    entry.lead_to(function)
    return entry


def give_back(entry: Entry) -> None:
    """Let another one have it, after all that are free now."""
    entry.lead_to(None)
    _free.append(entry)


def field_of(value: AppValue) -> int:
    """Where the address stands through which this object is called; 0 for nowhere."""
    offset = _word(id(type(value)) + _VECTOR_CALL_OFFSET)
    return id(value) + offset if 0 < offset < _PAGE else 0


def read(value: AppValue) -> int:
    """The address through which this object is called; 0 where it has none."""
    return _word(field_of(value))


def write(value: AppValue, address: int) -> None:
    """Let this object be called through another address."""
    _set_word(field_of(value), address)


_opened: dict[int, tuple[type, int]] = {}
"""Metaclasses whose classes are called through their addresses because of us alone."""


def lead_class(cls: type, address: int) -> None:
    """Let a class be called through `address`. Only where it can, see `WHY_NOT`."""
    metaclass = type(cls)
    count = _opened.get(id(metaclass), (metaclass, 0))[1]
    if count or not type_object.takes_vector_calls(metaclass):
        _opened[id(metaclass)] = metaclass, count + 1
        type_object.set_vector_calls(metaclass, taken=True)
    if _is_specialised(cls, _generic_alloc):
        _set_word(id(cls) + _alloc_at, _our_alloc)
    write(cls, address)
    if _is_specialised(cls, _our_alloc):
        type_object.forget_caches(cls)


def restore_class(cls: type, address: int) -> None:
    """Put back the address that a class had, and what went with it."""
    write(cls, address)
    if _is_specialised(cls, _our_alloc):
        _set_word(id(cls) + _alloc_at, _generic_alloc)
    metaclass = type(cls)
    count = _opened.get(id(metaclass), (metaclass, 0))[1]
    if count == 1:
        del _opened[id(metaclass)]
        type_object.set_vector_calls(metaclass, taken=False)
    elif count:
        _opened[id(metaclass)] = metaclass, count - 1


def _is_specialised(cls: type, alloc: int) -> bool:
    """Whether calls of a class may be led past its address, judged by its allocator.

    The interpreter does so where instances are made by `PyType_GenericAlloc`, and
    looks again when it specialises a call (CPython's Python/specialize.c). A jump to
    that function is another address, and makes the same instances.
    """
    return (
        facts.SPECIALISES_CONSTRUCTION
        and not type_object.is_immutable(cls)
        and _word(id(cls) + _alloc_at) == alloc
    )


def _word(address: int) -> int:
    assert ctypes is not None
    return ctypes.c_uint64.from_address(address).value


def _set_word(address: int, value: int) -> None:
    assert ctypes is not None
    ctypes.c_uint64.from_address(address).value = value


def _address_of(name: str) -> int:
    """Of a function of CPython's API."""
    assert ctypes is not None
    found = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
    assert found is not None
    return found


def _make_entries() -> list[Entry]:
    """A page of entries, and the table that says where each leads."""
    assert ctypes is not None
    count = _PAGE // _STEP
    table = (ctypes.c_uint64 * count)()
    field_at = ctypes.addressof(table)
    target = _number(_address_of("PyObject_Vectorcall"))
    code = b"".join(
        (
            b"\xf3\x0f\x1e\xfa"  # endbr64
            b"\x48\xa1"
            + _number(field_at + number * _WORD)  # mov rax, [field]
            + b"\x48\x85\xc0"  # test rax, rax
            b"\x48\x0f\x45\xf8"  # cmovnz rdi, rax
            b"\x49\xbb" + target + b"\x41\xff\xe3"  # mov r11, target; jmp r11
        ).ljust(_STEP, b"\xcc")
        for number in range(count)
    )
    address = _make_executable(code)
    _tables.append(table)
    return [
        Entry(
            address + number * _STEP,
            ctypes.c_uint64.from_address(field_at + number * _WORD),
        )
        for number in range(count)
    ]


def _make_jump(target: int) -> int:
    """Machine code that only goes on to another function."""
    return _make_executable(
        b"\xf3\x0f\x1e\xfa\x49\xbb" + _number(target) + b"\x41\xff\xe3"
    )


def _number(value: int) -> bytes:
    return value.to_bytes(_WORD, "little")


def _make_executable(code: bytes) -> int:
    """A new page with this code, for ever. Raises OSError where that is forbidden."""
    assert ctypes is not None
    library = ctypes.PyDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [
        *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int),
        *(ctypes.c_int, ctypes.c_long),
    ]
    library.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    page = library.mmap(None, _PAGE, _READ | _WRITE, _PRIVATE | _ANONYMOUS, -1, 0)
    if page in {None, ctypes.c_void_p(-1).value}:
        raise OSError(ctypes.get_errno(), "no memory for machine code")
    ctypes.memmove(page, code, len(code))
    if library.mprotect(page, _PAGE, _READ | _EXECUTE):
        raise OSError(ctypes.get_errno(), "machine code is forbidden here")
    return page


def _has_layout() -> bool:
    """Whether types say where they are expected to what Python says of them."""
    assert ctypes is not None
    if ctypes.sizeof(ctypes.c_void_p) != _WORD:
        return False

    class Sample:
        """Made by a class statement."""

    return all(
        _word(id(cls) + _BASIC_SIZE) == cls.__basicsize__
        and _word(id(cls) + _ITEM_SIZE) == cls.__itemsize__
        for cls in (Sample, type, int, dict)
    ) and (0 < _word(id(type) + _VECTOR_CALL_OFFSET) < _SIZE_OF_TYPE)


def _find_alloc() -> int:
    """Where a class has the function that makes instances; 0 if not found once."""

    class Sample:
        """Made by a class statement."""

    places = range(_VECTOR_CALL_OFFSET, _SIZE_OF_TYPE, _WORD)
    found = [at for at in places if _word(id(Sample) + at) == _generic_alloc]
    return found[0] if len(found) == 1 else 0


def _self_test() -> bool:
    """Lead calls of a class of our own away and back, specialised ones too."""

    class Sample:
        """Made by a class statement."""

        def __init__(self, value: int) -> None:
            self.value = value

    def make(count: int) -> list[int]:
        return [Sample(number).value for number in range(count)]

    original: AppValue = vars(type)["__call__"].__get__(Sample)
    seen: list[object] = []

    def ours(*args: AppValue, **kwargs: AppValue) -> AppValue:
        seen.append((args, kwargs))
        return original(*args, **kwargs)

    make(_HOT)
    before = read(Sample)
    entry = take(ours)
    lead_class(Sample, entry.address)
    try:
        made = make(_HOT) == list(range(_HOT)) and Sample(value=7).value == 7
    finally:
        restore_class(Sample, before)
        give_back(entry)
    reached = len(seen) == _HOT + 1 and seen[-1] == ((), {"value": 7})
    make(_HOT)
    return made and reached and len(seen) == _HOT + 1 and read(Sample) == before


_HOT = 100
"""Calls after which the interpreter has specialised one: it takes a few dozen."""

_generic_alloc = _our_alloc = _alloc_at = 0


def _prepare() -> str:
    """Why no call can be led elsewhere, or ""."""
    global _generic_alloc, _our_alloc, _alloc_at  # noqa: PLW0603 - the interpreter's, one for all
    if not facts.CAN_RUN_OUR_CODE:
        return "it takes machine code, which remora has for Linux on x86-64 alone"
    failed = "the self-test for that did not pass in this process"
    if self_tests_must_fail() or not type_object.CAN_CHANGE or not _has_layout():
        return failed
    _generic_alloc = _address_of("PyType_GenericAlloc")
    _alloc_at = _find_alloc()
    if not _alloc_at:
        return failed
    try:
        _our_alloc = _make_jump(_generic_alloc)
        return "" if _self_test() else failed
    except (OSError, CannotInterceptError):
        return FORBIDDEN


WHY_NOT = _prepare()
"""Why calls of objects cannot be led elsewhere in this process; "" where they can."""
