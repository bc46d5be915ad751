"""All operations of a running server, built once and handed to every room above."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remora.server.auth import Credentials, Guard
from remora.server.operations.attacks import Attacks
from remora.server.operations.blocks import Blocks
from remora.server.operations.counters import Counters
from remora.server.operations.hub import Hub
from remora.server.operations.instances import Instances
from remora.server.operations.notices import Notifier
from remora.server.operations.probes import Probes
from remora.server.operations.queries import Queries
from remora.server.operations.records import Records
from remora.server.operations.rules import Rules

if TYPE_CHECKING:
    from remora.server.config import ServerSettings
    from remora.server.store import Store


@dataclass(frozen=True, slots=True)
class Operations:
    """What the API, the streams and the pages can do; make them with `build`."""

    settings: ServerSettings
    store: Store
    credentials: Credentials
    guard: Guard
    hub: Hub
    counters: Counters
    instances: Instances
    probes: Probes
    records: Records
    attacks: Attacks
    blocks: Blocks
    rules: Rules
    notifier: Notifier
    queries: Queries

    @classmethod
    def build(cls, settings: ServerSettings, store: Store) -> Operations:
        """Put the parts together; nobody is served before `load`."""
        credentials = Credentials(store.access)
        hub, counters = Hub(), Counters()
        instances = Instances(store.instances, hub, settings.ping_s)
        probes = Probes(store, instances)
        blocks = Blocks(store, instances)
        attacks = Attacks(store.attacks, blocks)
        notifier = Notifier(settings, counters)
        return cls(
            settings=settings,
            store=store,
            credentials=credentials,
            guard=Guard(settings, credentials),
            hub=hub,
            counters=counters,
            instances=instances,
            probes=probes,
            records=Records(store.records, hub, counters, notifier),
            attacks=attacks,
            blocks=blocks,
            rules=Rules(store, instances, attacks),
            notifier=notifier,
            queries=Queries(hub, instances),
        )

    async def load(self) -> None:
        """Read what the store has, and make the first tokens where it has none."""
        await self.credentials.load()
        await self.credentials.make_first(self.settings.data)
        await self.instances.load()
        await self.blocks.load()
        await self.rules.load()
        await self.probes.load()

    def close(self) -> None:
        """Let all who wait go, so that the server can stop."""
        self.hub.close()
        self.queries.close()
