"""What the server keeps, behind one interface; SQLite by default."""

from remora.server.store.interface import (
    AccessStore,
    AttackStore,
    BlockStore,
    InstanceStore,
    ProbeStore,
    RecordStore,
    Store,
)
from remora.server.store.sqlite import SqliteStore

__all__ = [
    "AccessStore",
    "AttackStore",
    "BlockStore",
    "InstanceStore",
    "ProbeStore",
    "RecordStore",
    "SqliteStore",
    "Store",
]
