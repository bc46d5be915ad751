"""The way into a process that runs already, and out of it again."""

from remora.boot.attach.attach import Report, attach, check_attach, detach, pack
from remora.boot.attach.process import Choice, find_processes

__all__ = [
    "Choice",
    "Report",
    "attach",
    "check_attach",
    "detach",
    "find_processes",
    "pack",
]
