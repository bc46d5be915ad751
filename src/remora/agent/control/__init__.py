"""What this instance is asked to do: the link to the server, and local probe files.

Most is imported when it is first named: a process without a server needs no link, one
without probe files nobody who reads them, one without probes no request contexts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.control.identity import make_instance, spawning_master
from remora.late import late_door

if TYPE_CHECKING:
    from remora.agent.control.changes import Changes, plan
    from remora.agent.control.children import Children
    from remora.agent.control.events import EventReader, ServerEvent
    from remora.agent.control.frameworks import Frameworks
    from remora.agent.control.link import Link, Listener
    from remora.agent.control.messages import (
        Push,
        Query,
        parse_probes,
        parse_push,
        parse_query,
    )
    from remora.agent.control.probe_files import (
        may_mean_main,
        read_probe_file,
        read_probe_files,
    )

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
    "may_mean_main",
    "parse_probes",
    "parse_push",
    "parse_query",
    "plan",
    "read_probe_file",
    "read_probe_files",
    "spawning_master",
]

__getattr__ = late_door(
    globals(),
    {
        "Changes": "changes",
        "Children": "children",
        "EventReader": "events",
        "Frameworks": "frameworks",
        "Link": "link",
        "Listener": "link",
        "Push": "messages",
        "Query": "messages",
        "ServerEvent": "events",
        "may_mean_main": "probe_files",
        "parse_probes": "messages",
        "parse_push": "messages",
        "parse_query": "messages",
        "plan": "changes",
        "read_probe_file": "probe_files",
        "read_probe_files": "probe_files",
    },
)
