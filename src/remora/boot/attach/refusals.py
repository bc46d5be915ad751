"""Which rule of the kernel has refused, and what to do: one sentence for each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remora.boot.attach.process import Process

_CAN_TRACE = 1 << 19
"""CAP_SYS_PTRACE"""


@dataclass(frozen=True, slots=True)
class Rights:
    """What this command may do, and the rules of the machine."""

    user: int
    can_trace: bool
    yama_scope: int
    tracer_name: str = ""


def read_rights(process: Process) -> Rights:
    """The rights of this command with regard to that process."""
    status = Path("/proc/self/status").read_text("ascii", "replace")
    rows = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    try:
        scope = int(Path("/proc/sys/kernel/yama/ptrace_scope").read_text("ascii"))
    except (OSError, ValueError):
        scope = 0
    try:
        tracer = Path(f"/proc/{process.tracer}/comm").read_text("utf-8", "replace")
    except OSError:
        tracer = "not visible from here"
    return Rights(
        user=os.geteuid(),
        can_trace=bool(int(rows.get("CapEff", "0"), 16) & _CAN_TRACE),
        yama_scope=scope,
        tracer_name=tracer.strip(),
    )


def explain_refusal(process: Process, rights: Rights) -> str:
    """Say which rule it was that refused."""
    pid = process.pid
    refused = f"the kernel refused to trace process {pid}"
    if process.tracer:
        return (
            f"{refused}: process {process.tracer} ({rights.tracer_name}) traces it "
            "already, and there can be only one: end that debugger or strace first"
        )
    if rights.yama_scope == 3:
        return (
            f"{refused}: kernel.yama.ptrace_scope is 3, which forbids it to everybody "
            "until the next boot: start the app with `remora run`"
        )
    if rights.can_trace:
        return (
            f"{refused}, although this command has the right to: a security policy "
            "(SELinux, AppArmor, seccomp) or another user namespace forbids it; look "
            "into the audit log, or start the app with `remora run`"
        )
    if rights.user == 0:
        return (
            f"{refused}: this container lacks the capability SYS_PTRACE; start it with "
            "--cap-add SYS_PTRACE (Docker) or securityContext.capabilities.add: "
            "[SYS_PTRACE] (Kubernetes), or attach from the host"
        )
    if process.owner != rights.user:
        return (
            f"{refused}: it runs as user {process.owner} and this command as user "
            f"{rights.user}: run the command as that user, or as root (sudo)"
        )
    if process.files_owner != process.owner:
        return (
            f"{refused}: it has made itself untraceable (PR_SET_DUMPABLE, or a program "
            "with set-user-ID): run this command as root (sudo)"
        )
    if rights.yama_scope:
        also = ", which wants CAP_SYS_PTRACE" if rights.yama_scope == 2 else ""
        return (
            f"{refused}: kernel.yama.ptrace_scope is {rights.yama_scope}{also}: run "
            "this command as root (sudo), or start the app with `remora run`"
        )
    return (
        f"{refused}: this command lacks the capability SYS_PTRACE or a right that the "
        "process has: run it as root (sudo), or start the app with `remora run`"
    )
