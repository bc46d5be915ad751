"""A terminal that is closed while a line is on its way to it."""

import subprocess
import sys
from pathlib import Path

import remora

SOURCE = str(Path(remora.__file__).parents[1])
PROGRAM = """
import errno, sys
sys.path.insert(0, {source!r})
import remora.__main__ as command

def run_command(words, environ):
    raise OSError(errno.EIO, "Input/output error")

command.run_command = run_command
sys.exit(command.main(["ps"]))
"""


def test_a_line_written_to_a_closed_terminal_is_no_failure():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(source=SOURCE)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
