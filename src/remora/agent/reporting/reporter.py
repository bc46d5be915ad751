"""The task that makes queued records lines of a file and batches for the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.reporting.batch import Batcher, encode_record
from remora.agent.reporting.queue import LIMIT_RECORDS
from remora.agent.reporting.waiting import NEVER, Routine, Wait
from remora.agent.runtime import originals

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from remora.agent.diagnostics import Diagnostics
    from remora.agent.reporting.batch import Batch, Prepare
    from remora.agent.reporting.drops import Drops
    from remora.agent.reporting.file_sink import FileSink
    from remora.agent.reporting.queue import Queue
    from remora.agent.reporting.server_sink import ServerSink

SLICE_S = 0.0003
"""Work at a stretch. Measured: with 1 ms the app's own timers suffer, with 0.3 ms and a
real sleep after it they do not, at 30,000 records a second."""

LOOK_S = 0.05
"""The hot path may not wake anybody, so the queue is looked at, while it may fill."""

IDLE_LOOKS = 20
IDLE_LOOK_S = 0.25
"""Where a second of looks found nothing, less often: each takes some 0.3 ms of CPU, as
all that it touches has left the processor's caches."""

PRESSING_S = 0.1
"""An important record waits no longer for company: its process may be about to die. A
flood of attacks makes no more than ten batches a second."""

_DROPS_ALONE_S = 5.0
"""Counts of drops go without records when none came for so long."""


class Reporter:
    """Drains the queue into the sinks that there are.

    `prepare` is applied to each record before it is written as JSON; `expects_records`
    tells whether anything is installed that may report.
    """

    def __init__(  # noqa: PLR0913 - it joins the parts of the room
        self,
        queue: Queue,
        drops: Drops,
        diagnostics: Diagnostics,
        *,
        prepare: Prepare = lambda record: record,
        expects_records: Callable[[], bool] = lambda: True,
        file: FileSink | None = None,
        server: ServerSink | None = None,
    ) -> None:
        self._queue = queue
        self._drops = drops
        self._diagnostics = diagnostics
        self._prepare = prepare
        self._expects_records = expects_records
        self._file = file
        self._server = server
        if file is not None and server is not None:
            # The file empties the queue, so what a server that is away may still get
            # has to wait behind it.
            server.limit_records = LIMIT_RECORDS
        self._batcher = Batcher(drops)
        self._is_urgent = False
        self._is_writing = False
        self._is_pressing = False
        self._sealed_at = 0.0
        self._idle_looks = 0

    def routines(self) -> Sequence[Callable[[], Routine[None]]]:
        """Draining, and delivery to the server where there is one."""
        if self._server is None:
            return (self._drain,)
        return (self._drain, self._server.run)

    def hurry(self, is_urgent: bool) -> None:  # noqa: FBT001 - a setter
        """Seal and send batches as they are, however young."""
        self._is_urgent = is_urgent

    @property
    def is_settled(self) -> bool:
        """Whether every record was delivered, written or given up."""
        return (
            not len(self._queue)
            and not self._is_writing
            and (self._file is None or self._file.is_empty)
            and (self._server is None or self._server.is_empty)
            and not len(self._batcher)
        )

    def end(self) -> None:
        """There is nobody to say goodbye to."""

    def close(self) -> None:
        """Count what is left as lost, and give the file back."""
        lost = 0
        while self._queue.take() is not None:
            lost += 1
        if self._file is not None:
            lost += self._file.abandon()
            self._file.close()
        if self._server is not None:
            lost += len(self._batcher.seal().records) + self._server.abandon()
        self._drops.refresh()
        self._drops.add("exit", lost)
        if lost:
            self._diagnostics.say(f"{lost} records were not delivered before the end")

    def after_fork_in_child(self) -> None:
        """The parent has all records and sends them."""
        self._queue.after_fork_in_child()
        self._drops.after_fork_in_child()
        self._batcher = Batcher(self._drops)
        self._is_urgent = False
        self._is_writing = False
        self._is_pressing = False
        for sink in (self._file, self._server):
            if sink is not None:
                sink.after_fork_in_child()

    def _drain(self) -> Routine[None]:
        now = yield Wait()
        while True:
            is_busy = self._work(now)
            yield from self._write_file(is_busy)
            if is_busy:
                now = yield Wait()
                continue
            self._drops.refresh()
            now = yield Wait(until=self._next_look(now), ready=self._has_work)

    def _work(self, now: float) -> bool:
        """One slice of records; whether there are more to take."""
        if self._queue.is_pressing:
            self._queue.is_pressing = False  # before its record is taken, never after
            self._is_pressing = True
        self._seal_if_due(now)
        end = originals.monotonic() + SLICE_S
        while self._has_room():
            record = self._queue.take()
            if record is None:
                self._idle_looks += 1
                return False
            self._idle_looks = 0
            self._pass_on(encode_record(record, self._prepare, self._drops), now)
            if originals.monotonic() >= end:
                return True
        return False

    def _pass_on(self, data: bytes | None, now: float) -> None:
        if data is None:
            return
        if self._file is not None:
            self._file.add(data)
        server = self._server
        if server is None:
            return
        if not server.has_room:
            # Only with a file beside it: the file goes on, the server's part is lost.
            self._drops.add("queue-full")
            return
        sealed = self._batcher.add(data, now)
        if sealed is not None:
            self._hand_over(sealed, now)
        if self._batcher.is_full:
            self._hand_over(self._batcher.seal(), now)

    def _seal_if_due(self, now: float) -> None:
        if self._server is None or not self._server.has_room:
            return
        due = self._due
        if (
            due is not None and (due <= now or (self._is_urgent and not self._queue))
        ) or (due is None and self._owes_counts(now)):
            self._hand_over(self._batcher.seal(), now)

    @property
    def _due(self) -> float | None:
        """When what was collected has to go, or None where nothing was."""
        due = self._batcher.due
        if due is None or not self._is_pressing or len(self._queue):
            return due  # what waits in the queue may still go with it
        return min(due, self._sealed_at + PRESSING_S)

    def _hand_over(self, batch: Batch, now: float) -> None:
        assert self._server is not None
        self._sealed_at = now
        if not len(self._queue) and not len(self._batcher):
            self._is_pressing = False
        self._server.give(batch)

    def _owes_counts(self, now: float) -> bool:
        return (
            self._drops.has_unsent
            and self._server is not None
            and self._server.is_empty
            and now - self._sealed_at >= _DROPS_ALONE_S
        )

    def _has_room(self) -> bool:
        """With a file there always is: the file must not wait for the server."""
        return self._file is not None or self._server is None or self._server.has_room

    def _has_work(self) -> bool:
        if len(self._queue):
            return self._has_room()
        due = self._due
        if due is None or not self._server_has_room():
            return False
        return self._is_urgent or due <= originals.monotonic()

    def _server_has_room(self) -> bool:
        return self._server is not None and self._server.has_room

    def _write_file(self, is_busy: bool) -> Routine[None]:  # noqa: FBT001 - one caller
        if self._file is None or self._file.is_empty:
            return
        if is_busy and not self._file.has_chunk:
            return
        self._is_writing = True
        try:
            yield from self._file.write()
        finally:
            self._is_writing = False

    def _next_look(self, now: float) -> float:
        until = NEVER
        if self._expects_records():
            until = now + (LOOK_S if self._idle_looks < IDLE_LOOKS else IDLE_LOOK_S)
        due = self._due
        if due is not None and self._server_has_room():
            until = min(until, due)
        if self._drops.has_unsent and self._server is not None:
            until = min(until, max(now + LOOK_S, self._sealed_at + _DROPS_ALONE_S))
        return until
