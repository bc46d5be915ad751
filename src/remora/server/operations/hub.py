"""Who waits for what in this process, and how they are woken.

Everything here runs in the event loop's thread. Whoever changes something wakes those
it concerns, and each looks for itself what there is to do. So nothing is queued for a
slow reader but the questions to it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Generator, Iterable


class Waiter:
    """Something that sleeps until it is woken or its time is up."""

    def __init__(self) -> None:
        self._is_woken = False
        self._sleep: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Let it look what there is to do."""
        self._is_woken = True
        self._end_sleep()

    async def wait(self, timeout_s: float) -> bool:
        """Whether it was woken before the time was up.

        A bare future and a timer: an event under a timeout takes twice as long, for
        each of a thousand agents at each push.
        """
        if not self._is_woken:
            loop = asyncio.get_running_loop()
            self._sleep = loop.create_future()
            timer = loop.call_later(timeout_s, self._end_sleep)
            try:
                await self._sleep
            finally:
                timer.cancel()
                self._sleep = None
        woken, self._is_woken = self._is_woken, False
        return woken

    def _end_sleep(self) -> None:
        if self._sleep is not None and not self._sleep.done():
            self._sleep.set_result(None)


class Connection(Waiter):
    """An agent that listens. Questions to it wait in `queries`, already encoded."""

    def __init__(self, *, takes_queries: bool) -> None:
        super().__init__()
        self.takes_queries = takes_queries
        self.queries: deque[bytes] = deque()
        self.replaced = False


class Watcher(Waiter):
    """An operator who watches records, of one probe or instance or of all."""

    def __init__(self, probe: str, instance: str) -> None:
        super().__init__()
        self.probe = probe
        self.instance = instance


class Hub:
    """All waiters of this process."""

    def __init__(self) -> None:
        self.closing = False
        self._connections: dict[str, Connection] = {}
        self._watchers: set[Watcher] = set()

    @contextmanager
    def connected(
        self, instance_id: str, *, takes_queries: bool
    ) -> Generator[Connection]:
        """An agent listens during this block; an older connection of it ends."""
        connection = Connection(takes_queries=takes_queries)
        if earlier := self._connections.get(instance_id):
            # Where the network lost a connection, the agent knows before we do.
            earlier.replaced = True
            earlier.wake()
        self._connections[instance_id] = connection
        try:
            yield connection
        finally:
            if self._connections.get(instance_id) is connection:
                del self._connections[instance_id]

    @contextmanager
    def watching(self, probe: str, instance: str) -> Generator[Watcher]:
        """An operator watches records during this block."""
        watcher = Watcher(probe, instance)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def connection(self, instance_id: str) -> Connection | None:
        """The connection of an agent, if it has one."""
        return self._connections.get(instance_id)

    @property
    def connection_count(self) -> int:
        """Agents that listen now."""
        return len(self._connections)

    @property
    def watcher_count(self) -> int:
        """Operators that watch records now."""
        return len(self._watchers)

    def wake(self, instance_ids: Iterable[str]) -> None:
        """Let these agents' connections look at what is wanted of them."""
        for instance_id in instance_ids:
            if connection := self._connections.get(instance_id):
                connection.wake()

    def records_arrived(self, instance: str, probes: Collection[str]) -> None:
        """Wake those who watch records of this instance and these probes."""
        for watcher in self._watchers:
            if watcher.instance in {"", instance} and (
                not watcher.probe or watcher.probe in probes
            ):
                watcher.wake()

    def close(self) -> None:
        """Let every waiter end: the server is stopping."""
        self.closing = True
        for waiter in (*self._connections.values(), *self._watchers):
            waiter.wake()
