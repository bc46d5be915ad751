"""The two tables beside the bytecode: locations and exception handlers.

Formats: Objects/locations.md and Objects/exception_handling_notes.txt of CPython 3.11;
3.12 and 3.13 have the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import CodeType

Position = tuple[int | None, int | None, int | None, int | None]
"""Line, end line, column, end column of a unit of code, as co_positions gives them."""

_UNITS_LIMIT = 8
"""Units that one entry of the location table can cover."""

_NO_COLUMNS = 13
_LONG = 14
_NO_LOCATION = 15


def encode_locations(positions: Iterable[Position], first_line: int) -> bytes:
    """The location table that gives these positions, one for each unit of code."""
    table = bytearray()
    line = first_line
    for position, units in _runs(positions):
        left = units
        while left > 0:
            line = _encode_location(table, position, min(left, _UNITS_LIMIT), line)
            left -= _UNITS_LIMIT
    return bytes(table)


def _runs(positions: Iterable[Position]) -> Iterator[tuple[Position, int]]:
    current: Position | None = None
    units = 0
    for position in positions:
        if position != current:
            if current is not None:
                yield current, units
            current, units = position, 0
        units += 1
    if current is not None:
        yield current, units


def _encode_location(
    table: bytearray, position: Position, units: int, before: int
) -> int:
    """Append one entry; returns the line that the next one counts from."""
    line, end_line, column, end_column = position
    if line is None:
        table.append(0x80 | _NO_LOCATION << 3 | (units - 1))
        return before
    if end_line is None or column is None or end_column is None:
        table.append(0x80 | _NO_COLUMNS << 3 | (units - 1))
        _append_signed(table, line - before)
        return line
    table.append(0x80 | _LONG << 3 | (units - 1))
    _append_signed(table, line - before)
    for number in (end_line - line, column + 1, end_column + 1):
        _append_number(table, number)
    return line


def _append_signed(table: bytearray, number: int) -> None:
    _append_number(table, (-number << 1) | 1 if number < 0 else number << 1)


def _append_number(table: bytearray, number: int) -> None:
    """Six bits a byte, the least first; 64 marks that more follow."""
    while number >= 64:
        table.append(64 | number & 63)
        number >>= 6
    table.append(number)


def read_handlers(code: CodeType) -> list[tuple[int, int, int, int]]:
    """Start, end and handler in units, and depth with the flag, of each entry."""
    numbers = _numbers(code.co_exceptiontable)
    entries: list[tuple[int, int, int, int]] = []
    for start in numbers:
        length, target, depth = next(numbers), next(numbers), next(numbers)
        entries.append((start, start + length, target, depth))
    return entries


def _numbers(table: bytes) -> Iterator[int]:
    number = 0
    for byte in table:
        number = number << 6 | byte & 63
        if not byte & 64:
            yield number
            number = 0


def encode_handlers(entries: Iterable[tuple[int, int, int, int]]) -> bytes:
    """The exception table with these entries."""
    table = bytearray()
    for start, end, target, depth in entries:
        first = len(table)
        for number in (start, end - start, target, depth):
            _append_big_endian(table, number)
        table[first] |= 128
    return bytes(table)


def _append_big_endian(table: bytearray, number: int) -> None:
    """Six bits a byte, the greatest first; 64 marks that more follow."""
    parts = [number & 63]
    while number >= 64:
        number >>= 6
        parts.append(64 | number & 63)
    table.extend(reversed(parts))
