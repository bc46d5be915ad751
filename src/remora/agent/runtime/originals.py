"""Primitives as they were before anybody patched them.

The agent's thread must be a real thread that really waits, also under gevent, and must
not fire probes on `time.time` or `os.write` by its own work. So everything here is a
clone of the C function, or the class itself, taken when the agent is imported. Modules
of the agent take time, locks, threads, sockets and files from here and nowhere else.
"""

from __future__ import annotations

import _socket
import _thread
import os
import select as _select
import sys
import time as _time
from builtins import len as _len
from typing import TYPE_CHECKING, Any

from remora.agent.runtime.builtin_object import clone as _clone

if TYPE_CHECKING:
    from types import ModuleType


def _take(module: ModuleType, name: str) -> Any:
    """A clone of what stood there before gevent, if that was here before us.

    It keeps what it has replaced (`gevent.monkey.saved`). So it is with an attach.
    """
    saved: Any = getattr(sys.modules.get("gevent.monkey"), "saved", None)
    kept = saved.get(module.__name__, {}) if type(saved) is dict else {}
    return _clone(kept.get(name, getattr(module, name)))


allocate_lock = _take(_thread, "allocate_lock")
allocate_rlock = _thread.RLock
start_new_thread = _take(_thread, "start_new_thread")
get_ident = _take(_thread, "get_ident")
get_native_id = _take(_thread, "get_native_id")
interrupt_main = _take(_thread, "interrupt_main")

sleep = _take(_time, "sleep")
monotonic = _take(_time, "monotonic")
monotonic_ns = _take(_time, "monotonic_ns")
perf_counter_ns = _take(_time, "perf_counter_ns")
thread_time_ns = _take(_time, "thread_time_ns")
process_time_ns = _take(_time, "process_time_ns")
time_ns = _take(_time, "time_ns")

select = _take(_select, "select")
poll = _take(_select, "poll")
socket = _socket.socket
getaddrinfo = _take(_socket, "getaddrinfo")

getpid = _take(os, "getpid")
getppid = _take(os, "getppid")
open_fd = _take(os, "open")
read_fd = _take(os, "read")
write_fd = _take(os, "write")
close_fd = _take(os, "close")
pipe = _take(os, "pipe")
urandom = _take(os, "urandom")
stat = _take(os, "stat")
fstat = _take(os, "fstat")
rename = _take(os, "rename")

length = _clone(_len)
