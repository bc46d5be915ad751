"""`remora notify test`: whether the server's notices leave it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remora.cli.answers import get_text
from remora.cli.connection import open_client
from remora.cli.output import Span, open_output, print_json
from remora.errors import CommandError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping


def send_test(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora notify test`; status 1 where a notice did not leave."""
    with open_client(arguments, environ) as client:
        channels = client.test_notices()
    if not channels:
        raise CommandError(
            "the server tells nobody of attacks: start it with --notify-webhook or "
            "--notify-syslog"
        )
    if arguments.json:
        print_json(sys.stdout, {"channels": channels})
    else:
        output = open_output(sys.stdout, environ)
        for channel in channels:
            error = get_text(channel, "error")
            end = Span(f"failed: {error}", "red") if error else Span("sent", "green")
            name = f"{get_text(channel, 'name')} {get_text(channel, 'to')}: "
            output.line(name, end)
    return 1 if any(get_text(channel, "error") for channel in channels) else 0
