"""`remora serve`: the server in the foreground."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remora.cli.output import open_output, print_json

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from remora.server import DataPaths

_OPTIONS = (
    "host",
    "port",
    "keep",
    "max_size",
    "tls_cert",
    "tls_key",
    "client_ca",
    "public_url",
    "keep_attacks",
    "notify_webhook",
    "notify_secret",
    "notify_syslog",
    "notify_every",
)


def serve(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora serve`; returns when the server was asked to end."""
    from remora.server import read_settings
    from remora.server import serve as run_server

    given = {name: getattr(arguments, name) for name in _OPTIONS}
    settings = read_settings(
        {**given, "data": arguments.data, "insecure": arguments.insecure}
    )

    def say_ready(url: str, paths: DataPaths) -> None:
        facts = {
            "url": url,
            "data": str(paths.directory),
            "agent_token": str(paths.agent_token),
            "operator_token": str(paths.operator_token),
        }
        if arguments.json:
            print_json(sys.stdout, facts)
            return
        output = open_output(sys.stdout, environ)
        output.line(f"remora serves at {url}")
        for name in ("agent_token", "operator_token"):
            output.line(f"    {name.replace('_', ' ')}: {facts[name]}")
        output.line("    Ctrl-C ends it")

    run_server(settings, say_ready)
    return 0
