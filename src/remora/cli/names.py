"""How instances are called on the screen: app and process id."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from remora.cli.answers import get_text
from remora.errors import RemoraError

if TYPE_CHECKING:
    from remora.cli.answers import JsonObject
    from remora.cli.client import OperatorClient

REFRESH_S = 2.0
"""An unknown id is asked for at most this often: records come faster than that."""

ID_SHOWN = 8
"""Digits of an instance's id: enough to tell thousands apart."""


class InstanceNames:
    """Looks ids up on the server, and remembers them."""

    def __init__(self, client: OperatorClient) -> None:
        self._client = client
        self._names: dict[str, str] = {}
        self._asked_at: float | None = None

    def name(self, instance_id: str) -> str:
        """What to call an instance; the start of its id while nobody knows it."""
        now = time.monotonic()
        if instance_id not in self._names and (
            self._asked_at is None or now - self._asked_at > REFRESH_S
        ):
            self._asked_at = now
            try:
                for instance in self._client.instances():
                    self._names[get_text(instance, "id")] = name_instance(instance)
            except RemoraError:
                # The name is an ornament: what is being shown goes on without it.
                return instance_id[:ID_SHOWN]
        return self._names.get(instance_id, instance_id[:ID_SHOWN])


def name_instance(instance: JsonObject) -> str:
    """App and process id."""
    return f"{get_text(instance, 'app')} {get_text(instance, 'pid')}"
