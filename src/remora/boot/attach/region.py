"""The region of memory that is mapped into the target: code, words, text, luggage.

    page 0   machine code, readable and executable: starter, runner, queuer
    page 1   the words below, which the code and the injector share
    page 2…  the text that the interpreter runs, then the view that the text works
             on: luggage that it reads, and room for its answer

The injector polls the words from outside; nothing in the target waits for it longer
than ten seconds.
"""

from __future__ import annotations

import struct
from enum import IntEnum
from typing import TYPE_CHECKING

from remora.errors import NoSuchProcessError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remora.boot.attach.architecture import Architecture
    from remora.boot.attach.memory import Memory

PAGE = 4096
ANSWER_SIZE = 16 * 1024
"""Room for the answer: a sentence and some numbers; longer sentences are cut."""

FUNCTIONS = (
    "Py_IsInitialized",
    "pthread_sigmask",
    "pthread_attr_init",
    "pthread_attr_setstacksize",
    "pthread_attr_setdetachstate",
    "pthread_create",
    "PyGILState_Ensure",
    "PyMemoryView_FromMemory",
    "PySys_SetObject",
    "Py_DecRef",
    "PyRun_SimpleString",
    "PyGILState_Release",
    "usleep",
    "munmap",
)
"""Whose addresses the first words are, in this order."""

PENDING = "Py_AddPendingCall"
"""What the queuer calls."""

_RUNNER, _START, _SIZE, _TEXT, _NAME, _VIEW, _VIEW_SIZE = range(0x70, 0xA8, 8)
_ONCE, _USERS, _STATE, _CREATED, _OUTCOME, _READ = range(0xB0, 0xC8, 4)
_ALL_SIGNALS, _SIGNALS_SIZE = 0x148, 128
_STARTER, _QUEUED = 0x208, 0x218

VIEW_NAME = "__remora_page_at_0000000000000000__"
"""The attribute of `sys` under which the text finds the view; it takes it away. Each
region has its own, with its address: the threads of two regions may take turns."""

NOT_CREATED = NOT_QUEUED = 0xFFFFFFFF
NOT_READY = 0x1000
"""What stands in `created` before, and where the interpreter is not initialised."""


class Once(IntEnum):
    """Who has the right to start."""

    FREE = 0
    CANCELLED = 1
    TAKEN = 2


class Progress(IntEnum):
    """How far the runner is."""

    QUEUED = 0
    STARTED = 1
    RUNNING = 2
    DONE = 3


class Region:
    """A mapped region, as the injector sees it."""

    def __init__(self, memory: Memory, start: int, size: int) -> None:
        self._memory = memory
        self.start = start
        self.size = size
        self.words = start + PAGE
        self.queuer = 0
        self._answer_at = 0

    def fill(
        self,
        architecture: Architecture,
        functions: Mapping[str, int],
        text: bytes,
        luggage: bytes,
    ) -> None:
        """Write everything; the code page still has to be made executable."""
        runner_at = len(architecture.starter)
        queuer_at = runner_at + len(architecture.runner)
        code = architecture.starter + architecture.runner + architecture.queuer
        self._memory.write(self.start, code)
        self.queuer = self.start + queuer_at
        text_at = self.words + PAGE
        name_at = text_at + len(text) + 1
        view_at = name_at + len(VIEW_NAME) + 1
        self._answer_at = view_at + len(luggage)
        content = text + b"\0" + VIEW_NAME.encode() + b"\0"
        own_name = VIEW_NAME.replace("0" * 16, f"{self.start:016x}")
        content = content.replace(VIEW_NAME.encode(), own_name.encode())
        self._memory.write(text_at, content + luggage)
        words = [functions[name] for name in FUNCTIONS]
        words += [self.start + runner_at, self.start, self.size]
        words += [text_at, name_at, view_at, len(luggage) + ANSWER_SIZE]
        self._memory.write(self.words, struct.pack(f"<{len(words)}Q", *words))
        queueing = struct.pack("<2Q", self.start, functions[PENDING])
        self._memory.write(self.words + _STARTER, queueing)
        self._write(_USERS, 1)
        self._write(_CREATED, NOT_CREATED)
        self._write(_QUEUED, NOT_QUEUED)
        self._memory.write(self.words + _ALL_SIGNALS, b"\xff" * _SIGNALS_SIZE)

    @property
    def starter(self) -> int:
        """The address of the function to call, with `words` as its argument."""
        return self.start

    @property
    def progress(self) -> Progress:
        """How far the runner is."""
        return Progress(self._read(_STATE))

    @property
    def created(self) -> int:
        """What pthread_create has said: 0 for a thread, or an error number."""
        return self._read(_CREATED)

    @property
    def is_queued(self) -> bool:
        """Whether the interpreter has taken the pending call."""
        return self._read(_QUEUED) == 0

    @property
    def is_taken(self) -> bool:
        """Whether one of the calls has started."""
        return self._read(_ONCE) == Once.TAKEN

    @property
    def has_failed(self) -> bool:
        """Whether the interpreter refused the text itself."""
        return self._read(_OUTCOME) != 0

    def read_answer(self) -> bytes:
        """What the text has left."""
        size = struct.unpack("<I", self._memory.read(self._answer_at, 4))[0]
        return self._memory.read(self._answer_at + 4, min(size, ANSWER_SIZE - 4))

    def share(self) -> None:
        """A second call may come: the last of the two unmaps."""
        self._write(_USERS, 2)

    def cancel(self) -> None:
        """A call or thread that has not begun with the text will only unmap."""
        self._write(_ONCE, Once.CANCELLED)
        self.finish()

    def is_mapped(self) -> bool:
        """Whether it is still there."""
        try:
            self._read(_READ)
        except (OSError, NoSuchProcessError):
            return False
        return True

    def finish(self) -> None:
        """Nobody waits for an answer: the runner may unmap and end."""
        self._write(_READ, 1)

    def _read(self, word: int) -> int:
        return struct.unpack("<I", self._memory.read(self.words + word, 4))[0]

    def _write(self, word: int, value: int) -> None:
        self._memory.write(self.words + word, struct.pack("<I", value))


def region_size(text: bytes, luggage: bytes) -> int:
    """How much has to be mapped, in whole pages."""
    content = len(text) + 1 + len(VIEW_NAME) + 1 + len(luggage) + ANSWER_SIZE
    return 2 * PAGE + -(-content // PAGE) * PAGE
