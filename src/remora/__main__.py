"""The command `remora`: here, and nowhere else, an error becomes a sentence."""

from __future__ import annotations

import errno
import os
import sys

from remora.cli import run_command
from remora.cli.dispatch import split_at_dashes
from remora.errors import RemoraError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

INTERRUPTED = 130
"""What a shell reports of a command that Ctrl-C ended."""

PIPE_CLOSED = 141
"""What a shell reports of a command whose reader went away."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    environ = os.environ  # noqa: TID251 - the rim: handed down from here
    for stream in (sys.stdout, sys.stderr):
        # A terminal that is not UTF-8 gets escapes instead of an exception.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue] - asked one line above
    words = sys.argv[1:] if argv is None else list(argv)
    as_json = "--json" in split_at_dashes(words)[0]
    try:
        status = run_command(words, environ)
        _flush_output()
    except RemoraError as error:
        _complain(error.slug, str(error), as_json=as_json)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _forget_output()
        return PIPE_CLOSED
    except OSError as error:
        if error.errno != errno.EIO:
            return _fail(error, environ, as_json=as_json)
        # A line was on its way to a terminal that was closed just then.
        _forget_output()
        return 0
    except Exception as error:  # noqa: BLE001 - the rim: a sentence instead of a traceback
        return _fail(error, environ, as_json=as_json)
    else:
        return status


def _fail(error: Exception, environ: Mapping[str, str], *, as_json: bool) -> int:
    """Say that something unforeseen has happened, in a sentence."""
    if environ.get("REMORA_DEBUG") == "1":
        raise error
    _complain(
        "unexpected",
        f"this should not have happened: {type(error).__name__}: {error}: please "
        "report it with what REMORA_DEBUG=1 prints",
        as_json=as_json,
    )
    return 1


def _flush_output() -> None:
    """Write what is left; where the terminal was closed, what was asked is done."""
    try:
        sys.stdout.flush()
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        _forget_output()


def _forget_output() -> None:
    """The interpreter flushes at exit and would complain a second time."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(slug: str, message: str, *, as_json: bool) -> None:
    if as_json:
        import json

        line = json.dumps({"error": slug, "message": message})
    else:
        from remora.cli.escape import escape

        line = f"remora: error: {escape(message)}"
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
