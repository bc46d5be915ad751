"""Programs that start others: where among their words is what they start."""

from __future__ import annotations

import re

from remora.detection.shell.options import VALUES, base_name, known_name

SHELLS = frozenset(
    ("sh", "bash", "dash", "zsh", "ksh", "ash", "rbash", "mksh", "fish", "csh", "tcsh")
)
STARTERS = frozenset(
    ("busybox", "chroot", "chrt", "docker", "doas", "dumb-init", "env", "fakeroot",
     "find", "flock", "gosu", "ionice", "kubectl", "ltrace", "nice", "nohup",
     "nsenter", "podman", "runuser", "setsid", "stdbuf", "strace", "sudo",
     "systemd-run", "taskset", "time", "timeout", "tini", "unshare", "xargs",
     "xvfb-run")
)  # fmt: skip
"""The command that these start stands among their own arguments."""

_BY_OPTION = frozenset(("su", "script", "flock", "runuser"))
"""What these get by `-c` is a line for a shell."""

_JOINING = {"ssh": 1, "watch": 0, "eval": 0}
"""These join their words to a line for a shell, behind so many of their own."""

_OWN_WORD = re.compile(r"-|[\d.]+[smhd]?\Z|\w+=")
_WITH_VALUE = frozenset(("--rcfile", "--init-file"))


def command_behind(arguments: list[str]) -> list[str]:
    """The command that the first of these starts, or nothing.

    The first word that is a known program, else the first that is no option, number or
    variable.
    """
    if base_name(arguments[0]) not in STARTERS:
        return []
    for start in range(1, len(arguments)):
        name = base_name(arguments[start])
        if (
            name in SHELLS
            or name in STARTERS
            or known_name(name)
            or is_line_taker(name)
        ):
            return arguments[start:]
    for start in range(1, len(arguments)):
        if not _OWN_WORD.match(arguments[start]):
            return arguments[start:]
    return []


def is_line_taker(name: str) -> bool:
    """Whether a program that is no shell hands a line to one."""
    return name in _BY_OPTION or name in _JOINING


def line_of(arguments: list[str]) -> str:
    """The line that the first of these hands to a shell, or nothing."""
    name = base_name(arguments[0])
    if name in SHELLS:
        return _script_of(arguments)
    if name in _BY_OPTION:
        return _line_by_option(arguments)
    if name in _JOINING:
        return _joined(name, arguments)
    return ""


def _script_of(arguments: list[str]) -> str:
    """What a shell runs by `-c`: the first of its words that is no option."""
    has_script, at = False, 1
    while at < len(arguments) and arguments[at][:1] in {"-", "+"}:
        option = arguments[at]
        at += 1
        if option in {"--", "-"}:
            break
        if option.startswith("--"):
            at += option in _WITH_VALUE
        else:
            has_script = has_script or (option[0] == "-" and "c" in option)
            at += option[-1] in "oO"
    return arguments[at] if has_script and at < len(arguments) else ""


def _line_by_option(arguments: list[str]) -> str:
    for at, option in enumerate(arguments[1:], 1):
        if option.startswith("--command="):
            return option.partition("=")[2]
        is_short = option[:1] == "-" and option[:2] != "--" and option[-1] == "c"
        if (is_short or option == "--command") and at + 1 < len(arguments):
            return arguments[at + 1]
    return ""


def _joined(name: str, arguments: list[str]) -> str:
    values = VALUES.get(name, "n").split()
    at = 1
    while at < len(arguments) and arguments[at][:1] == "-":
        at += 1 + (len(arguments[at]) == 2 and arguments[at][1] in values)
    return " ".join(arguments[at + _JOINING[name] :])
