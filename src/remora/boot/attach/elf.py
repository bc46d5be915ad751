"""Exported symbols of a program or library, read from the memory of a process.

Read there and not from the file: the file may lie in another mount namespace, or may
have been replaced by an upgrade since it was loaded.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from remora.errors import AttachError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from remora.boot.attach.memory import Memory

MAGIC = b"\x7fELF"
CLASS_64 = 2

_LOAD, _DYNAMIC = 1, 2
_STRINGS, _SYMBOLS, _HASH, _GNU_HASH = 5, 6, 4, 0x6FFFFEF5
_SYMBOL = struct.Struct("<IBBHQQ")
_INDIRECT = 10
"""STT_GNU_IFUNC: its value is the address of a chooser, not of the function."""
_DYNAMIC_LIMIT = 512
_CHAIN_LIMIT = 100_000


class Image:
    """One ELF file as it is mapped, `start` being where its head lies."""

    def __init__(self, memory: Memory, start: int) -> None:
        self._memory = memory
        head = memory.read(start, 64)
        if head[:4] != MAGIC or head[4] != CLASS_64:
            raise AttachError(f"what lies at {start:#x} is no 64-bit ELF file")
        self.machine: int = struct.unpack_from("<H", head, 18)[0]
        offset, size, count = struct.unpack_from("<Q14xHH", head, 32)
        table = memory.read(start + offset, size * count)
        rows = [struct.unpack_from("<II6Q", table, n * size) for n in range(count)]
        loads = [row[3] for row in rows if row[0] == _LOAD]
        self._bias = start - (min(loads, default=0) & ~0xFFF)
        self._dynamic = self._read_dynamic([r[3] for r in rows if r[0] == _DYNAMIC])

    def find(self, names: Iterable[str]) -> dict[str, int]:
        """The addresses of those names that it exports."""
        found: dict[str, int] = {}
        if _SYMBOLS not in self._dynamic or _STRINGS not in self._dynamic:
            return found
        for name in names:
            for index in self._candidates(name.encode()):
                address = self._match(index, name.encode())
                if address:
                    found[name] = address
                    break
        return found

    def _read_dynamic(self, addresses: list[int]) -> dict[int, int]:
        entries: dict[int, int] = {}
        if not addresses:
            return entries
        data = self._memory.read_some(self._bias + addresses[0], 16 * _DYNAMIC_LIMIT)
        for tag, value in struct.iter_unpack("<QQ", data[: len(data) & ~15]):
            if tag == 0:
                break
            if tag in {_STRINGS, _SYMBOLS, _HASH, _GNU_HASH}:
                # glibc has made these absolute while loading, other loaders have not
                entries[tag] = value if value >= self._bias else self._bias + value
        return entries

    def _match(self, index: int, name: bytes) -> int:
        """The address of the symbol at `index` if it is that one and defined here."""
        row = self._memory.read(self._dynamic[_SYMBOLS] + 24 * index, 24)
        name_at, info, _, section, value, _ = _SYMBOL.unpack(row)
        if not value or not section or info & 0xF == _INDIRECT:
            return 0
        text = self._memory.read_some(self._dynamic[_STRINGS] + name_at, len(name) + 1)
        return self._bias + value if text == name + b"\0" else 0

    def _candidates(self, name: bytes) -> Iterator[int]:
        if _GNU_HASH in self._dynamic:
            return self._by_gnu_hash(name)
        return self._by_hash(name) if _HASH in self._dynamic else iter(())

    def _by_gnu_hash(self, name: bytes) -> Iterator[int]:
        table = self._dynamic[_GNU_HASH]
        buckets, first, bloom, _ = struct.unpack("<4I", self._memory.read(table, 16))
        if not buckets:
            return
        wanted = 5381
        for byte in name:
            wanted = (wanted * 33 + byte) & 0xFFFFFFFF
        buckets_at = table + 16 + 8 * bloom
        chains_at = buckets_at + 4 * buckets
        index = self._word(buckets_at + 4 * (wanted % buckets))
        if index < first:
            return
        for _ in range(_CHAIN_LIMIT):
            found = self._word(chains_at + 4 * (index - first))
            if found | 1 == wanted | 1:
                yield index
            if found & 1:
                return
            index += 1

    def _by_hash(self, name: bytes) -> Iterator[int]:
        table = self._dynamic[_HASH]
        buckets = self._word(table)
        if not buckets:
            return
        wanted = 0
        for byte in name:
            wanted = (wanted << 4) + byte
            high = wanted & 0xF0000000
            wanted = (wanted ^ (high >> 24)) & ~high & 0xFFFFFFFF
        index = self._word(table + 8 + 4 * (wanted % buckets))
        for _ in range(_CHAIN_LIMIT):
            if not index:
                return
            yield index
            index = self._word(table + 8 + 4 * (buckets + index))

    def _word(self, address: int) -> int:
        return struct.unpack("<I", self._memory.read(address, 4))[0]
