"""What this instance is asked to do: the link to the server, and local probe files.

Most is imported when it is first named: a process without a server needs no link, and
one without probe files nobody who reads them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from remora.agent.control.frameworks import Frameworks
from remora.agent.control.identity import make_instance, spawning_master

if TYPE_CHECKING:
    from remora.agent.control.changes import Changes, plan
    from remora.agent.control.children import Children
    from remora.agent.control.events import EventReader, ServerEvent
    from remora.agent.control.link import Link, Listener
    from remora.agent.control.messages import Push, Query, parse_push, parse_query
    from remora.agent.control.probe_files import read_probe_file, read_probe_files

__all__ = [
    "Changes",
    "Children",
    "EventReader",
    "Frameworks",
    "Link",
    "Listener",
    "Push",
    "Query",
    "ServerEvent",
    "make_instance",
    "parse_push",
    "parse_query",
    "plan",
    "read_probe_file",
    "read_probe_files",
    "spawning_master",
]

_LATE = {
    "Changes": "changes",
    "Children": "children",
    "EventReader": "events",
    "Link": "link",
    "Listener": "link",
    "Push": "messages",
    "Query": "messages",
    "ServerEvent": "events",
    "parse_push": "messages",
    "parse_query": "messages",
    "plan": "changes",
    "read_probe_file": "probe_files",
    "read_probe_files": "probe_files",
}


def __getattr__(name: str) -> object:
    home = _LATE.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value
