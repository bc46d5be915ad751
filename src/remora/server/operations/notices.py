"""Notices of attacks: few of each vulnerability, sent by a task of their own.

Ingest never waits for a receiver: it appends to a bounded queue, and what finds no
place there is counted.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from remora.server.domain import attack_notice, now_ns, to_ns, trial_notice
from remora.server.operations.delivery import open_channels

if TYPE_CHECKING:
    from remora.server.config import ServerSettings
    from remora.server.domain import Batch, Notice
    from remora.server.operations.counters import Counters
    from remora.server.operations.delivery import Channel

_LOG = logging.getLogger("remora.server")

WAITING = 100
"""Notices in the queue: of more vulnerabilities at once nobody reads each."""

REMEMBERED = 1000
"""Vulnerabilities whose last notice is remembered; one more is dropped and counted."""

PAUSES_S = (1.0, 5.0)
"""Between the attempts to send a notice: a restart of the receiver takes seconds."""


class Notifier:
    """Tells of attacks by the ways that the settings name.

    `counters.notices` counts `sent`, `failed`, `throttled` and `dropped`.
    """

    def __init__(self, settings: ServerSettings, counters: Counters) -> None:
        self.channels = open_channels(settings)
        self._base_url = settings.public_url.rstrip("/")
        self._every_ns = to_ns(settings.notify_every_s)
        self._counters = counters.notices
        self._queue: asyncio.Queue[Notice] = asyncio.Queue(WAITING)
        # By vulnerability: until when it is quiet, and how many were not told of.
        self._quiet: dict[str, tuple[int, int]] = {}

    def tell(self, batch: Batch) -> None:
        """Queue notices of a batch's attacks; returns at once."""
        if not self.channels:
            return
        now = now_ns()
        for _, record, attack in batch.attacks:
            if attack.excepted:
                continue
            name = attack.vulnerability(batch.app)
            until, untold = self._quiet.get(name, (0, 0))
            if now < until:
                self._quiet[name] = until, untold + 1
                self._counters["throttled"] += 1
            elif self._queue.full() or not self._has_room(now):
                self._counters["dropped"] += 1
            else:
                notice = attack_notice(batch, record, attack, self._base_url, now)
                self._quiet[name] = now + self._every_ns, 0
                self._queue.put_nowait(replace(notice, more=untold))

    def _has_room(self, now: int) -> bool:
        """Forget what is no longer quiet, where there is much to remember."""
        if len(self._quiet) >= REMEMBERED:
            self._quiet = {k: v for k, v in self._quiet.items() if now < v[0]}
        return len(self._quiet) < REMEMBERED

    async def run(self) -> None:
        """Send what is queued, for ever."""
        while True:
            notice = await self._queue.get()
            await asyncio.gather(
                *(self._deliver(channel, notice) for channel in self.channels)
            )

    async def test(self) -> list[dict[str, object]]:
        """Send a test notice by every way, once, and say what became of it."""
        notice = trial_notice(now_ns(), self._base_url)
        errors = await asyncio.gather(
            *(self._send(channel, notice) for channel in self.channels)
        )
        return [
            {"name": channel.name, "to": channel.to, "error": error}
            for channel, error in zip(self.channels, errors, strict=True)
        ]

    async def _deliver(self, channel: Channel, notice: Notice) -> None:
        error = await self._send(channel, notice)
        for pause_s in PAUSES_S:
            if not error:
                break
            await asyncio.sleep(pause_s)
            error = await self._send(channel, notice)
        self._counters["failed" if error else "sent"] += 1
        if error:
            _LOG.error("a notice did not reach %s: %s", channel.to, error)

    async def _send(self, channel: Channel, notice: Notice) -> str:
        try:
            return await channel.send(notice)
        except Exception as error:  # noqa: BLE001 - the boundary of the notifier's task
            _LOG.exception("a notice to %s failed", channel.to)
            return f"{type(error).__name__}: this is a fault of the server"
