"""From a hook's tuple to the server and the file: queue, thread, batches, sinks.

What speaks to a server or writes to a file is imported when it is first named:
most of the room's start, and many processes need none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.reporting.backoff import Backoff
from remora.agent.reporting.batch import Batch, Batcher
from remora.agent.reporting.drops import Drops
from remora.agent.reporting.queue import Queue, Record
from remora.agent.reporting.reporter import Reporter
from remora.agent.reporting.waiting import NEVER, Routine, Wait
from remora.agent.reporting.worker import Worker
from remora.late import late_door

if TYPE_CHECKING:
    from remora.agent.reporting.answer import Answer, Payload
    from remora.agent.reporting.app_log import AppLog
    from remora.agent.reporting.client import Client, ServerSettings, Stream
    from remora.agent.reporting.file_sink import FileSink
    from remora.agent.reporting.server_sink import ServerSink
    from remora.agent.reporting.task import Task
    from remora.agent.reporting.tls import TlsFiles

__all__ = [
    "NEVER",
    "Answer",
    "AppLog",
    "Backoff",
    "Batch",
    "Batcher",
    "Client",
    "Drops",
    "FileSink",
    "Payload",
    "Queue",
    "Record",
    "Reporter",
    "Routine",
    "ServerSettings",
    "ServerSink",
    "Stream",
    "Task",
    "TlsFiles",
    "Wait",
    "Worker",
]

__getattr__ = late_door(
    globals(),
    {
        "Answer": "answer",
        "AppLog": "app_log",
        "Client": "client",
        "FileSink": "file_sink",
        "Payload": "answer",
        "ServerSettings": "client",
        "ServerSink": "server_sink",
        "Stream": "client",
        "Task": "task",
        "TlsFiles": "tls",
    },
)
