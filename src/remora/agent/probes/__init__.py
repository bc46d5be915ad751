"""Probes in this process: compiled to hooks, placed, limited, explained."""

from remora.agent.probes.local import Handle
from remora.agent.probes.placement import Placement
from remora.agent.probes.registry import Probes

__all__ = ["Handle", "Placement", "Probes"]
