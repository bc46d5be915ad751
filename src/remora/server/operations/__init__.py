"""What can be done on a server: one way for each, whoever asks and by which door."""

from remora.server.operations.attacks import Attacks
from remora.server.operations.blocks import Blocks
from remora.server.operations.counters import Counters
from remora.server.operations.hub import Connection, Hub, Watcher
from remora.server.operations.instances import Instances
from remora.server.operations.notices import Notifier
from remora.server.operations.operations import Operations
from remora.server.operations.probes import EXPIRY, UNREPORTED, Elsewhere, Probes
from remora.server.operations.queries import Queries
from remora.server.operations.records import FOLLOW_ROWS, Records
from remora.server.operations.upkeep import prune, upkeep

__all__ = [
    "EXPIRY",
    "FOLLOW_ROWS",
    "UNREPORTED",
    "Attacks",
    "Blocks",
    "Connection",
    "Counters",
    "Elsewhere",
    "Hub",
    "Instances",
    "Notifier",
    "Operations",
    "Probes",
    "Queries",
    "Records",
    "Watcher",
    "prune",
    "upkeep",
]
