"""Ways in: how the agent gets into a process that does not know it."""

from remora.boot.interpreter import find_interpreter
from remora.boot.loopback import is_loopback
from remora.boot.run import BOOT_FOLDER, build_environment, check_run, exec_command
from remora.boot.unserved import register_unserved
from remora.pythons import Interpreter

__all__ = [
    "BOOT_FOLDER",
    "Interpreter",
    "build_environment",
    "check_run",
    "exec_command",
    "find_interpreter",
    "is_loopback",
    "register_unserved",
]
