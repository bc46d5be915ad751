"""`remora attach` and `remora detach`: one process after the other, a line each."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remora.boot import build_environment, check_run
from remora.boot.attach import (
    attach,
    check_attach,
    detach,
    find_processes,
    pack,
)
from remora.cli.escape import escape
from remora.cli.run import offer_local_token
from remora.cli.run_options import RUN_OPTIONS
from remora.cli.signals import ended_by_signals
from remora.errors import CommandError, RemoraError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Mapping

    from remora.boot.attach import Report
    from remora.boot.attach.injector import Say

    Work = Callable[[int, Say], Report]

_LEFT_BEHIND = (
    "what stays until it ends: the emptied at-fork callback, and modules of the "
    "standard library"
)


def attach_processes(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora attach`."""
    options = {option.key: getattr(arguments, option.key) for option in RUN_OPTIONS}
    prepared = build_environment(options, environ)
    offer_local_token(prepared)
    settings = check_run(prepared)
    check_attach(settings)
    parcel = pack(settings)
    timeout_s = arguments.timeout
    return _work_on_all(
        arguments,
        lambda pid, say: attach(pid, settings, parcel, timeout_s=timeout_s, say=say),
    )


def detach_processes(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora detach`."""
    del environ
    timeout_s = arguments.timeout
    return _work_on_all(
        arguments, lambda pid, say: detach(pid, timeout_s=timeout_s, say=say)
    )


@dataclass(slots=True)
class _Outcomes:
    """What became of each process."""

    as_json: bool
    rows: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    failures: int = 0

    def add(self, report: Report) -> None:
        self.rows.append(_to_json(report))
        if not self.as_json:
            print(escape(_sentence(report)), flush=True)

    def fail(self, pid: int, error: RemoraError) -> None:
        self.failures += 1
        self.rows.append({"pid": pid, "error": error.slug, "message": str(error)})
        if not self.as_json:
            print(f"remora: error: {escape(str(error))}", file=sys.stderr)


def _work_on_all(arguments: Namespace, work: Work) -> int:
    outcomes = _Outcomes(arguments.json)
    pids, left = _chosen(arguments)
    with ended_by_signals():
        for pid in pids:
            try:
                outcomes.add(work(pid, _teller(pid)))
            except RemoraError as error:
                outcomes.fail(pid, error)
            except KeyboardInterrupt:
                print(
                    f"remora: given up: process {pid} goes on as it was",
                    file=sys.stderr,
                )
                raise
    if arguments.json:
        rows = [{"pid": pid, "why": reason} for pid, reason in left]
        print(json.dumps({"processes": outcomes.rows, "left": rows}))
    else:
        for pid, reason in left:
            print(f"left alone: {pid}: {escape(reason)}")
    return 1 if outcomes.failures else 0


def _chosen(arguments: Namespace) -> tuple[list[int], list[tuple[int, str]]]:
    """The processes that are meant, and those that were left alone, with the reason."""
    if not 0 < arguments.timeout < 86400:
        arguments.parser.error("--timeout takes a number of seconds up to a day")
    if bool(arguments.pid) == arguments.all or (arguments.match is not None) != (
        arguments.all
    ):
        arguments.parser.error(
            "say which processes: PID..., or --all --match TEXT for those whose "
            "command has that text"
        )
    if not arguments.all:
        for word in arguments.pid:
            if not (word.isascii() and word.isdigit() and int(word) > 0):
                arguments.parser.error(f"{word!r} is no number of a process")
        return list(dict.fromkeys(int(word) for word in arguments.pid)), []
    choice = find_processes(arguments.match)
    if not choice.serving:
        reasons = "".join(f"; {pid}: {reason}" for pid, reason in choice.left)
        raise CommandError(
            f"no Python process has {arguments.match!r} in its command{reasons}: look "
            "with ps"
        )
    return list(choice.serving), list(choice.left)


def _teller(pid: int) -> Say:
    def say(text: str) -> None:
        print(f"remora: {pid}: {text}", file=sys.stderr, flush=True)

    return say


def _to_json(report: Report) -> dict[str, object]:
    return {
        "pid": report.pid,
        "state": report.state,
        "app": report.app,
        "python": report.python,
        "agent": report.agent,
        "inner_pid": report.inner_pid,
        "note": report.note,
        "server": report.server,
        "connected": report.is_connected,
        "way": report.way,
        "paused_ms": round(report.paused_s * 1000, 2),
        "probes": [
            {"id": name, "state": state, "reason": reason}
            for name, state, reason in report.probes
        ],
    }


def _sentence(report: Report) -> str:
    who = f"{report.pid}: {report.app}"
    if report.state == "absent":
        return f"nothing to detach in {report.pid}: it has no agent"
    if report.state == "stopped":
        return f"detached from {who}; {_LEFT_BEHIND}"
    if report.state == "present":
        return (
            f"nothing done in {who} has remora {report.agent} already; to change its "
            "settings, detach it first"
        )
    parts = [f"attached to {who}", *_about_probes(report), *_about_server(report)]
    if report.note:
        parts.append(f"idle, {report.note}")
    return "; ".join(parts)


def _about_probes(report: Report) -> list[str]:
    """How many are installed, and why the others are not."""
    if not report.probes:
        return []
    installed = sum(state == "installed" for _, state, _ in report.probes)
    total = len(report.probes)
    count = f"{installed} of {total}" if installed < total else f"{total}"
    rest = [
        f"{name} is {state}: {reason}"
        for name, state, reason in report.probes
        if state != "installed"
    ]
    return [f"{count} {'probe' if total == 1 else 'probes'} installed", *rest]


def _about_server(report: Report) -> list[str]:
    if not report.server or report.note:
        return []
    if report.is_connected:
        return [f"connected to {report.server}"]
    return [f"{report.server} has not answered so far, the agent keeps trying"]
