"""The endpoints of docs/protocol.md that answer at once."""

from remora.server.api.access import AccessApi
from remora.server.api.agents import AgentApi
from remora.server.api.attacks import AttackApi
from remora.server.api.health import HealthApi
from remora.server.api.probes import ProbeApi
from remora.server.api.reading import ReadingApi
from remora.server.api.rules import RuleApi

__all__ = [
    "AccessApi",
    "AgentApi",
    "AttackApi",
    "HealthApi",
    "ProbeApi",
    "ReadingApi",
    "RuleApi",
]
