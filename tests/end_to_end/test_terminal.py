"""The command line in a real pseudo-terminal."""

import fcntl
import os
import re
import signal
import struct
import sys
import termios

import pytest

TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """The end of a pseudo-terminal that a person would sit at."""

    def __init__(self, command, start, environ):
        self.master, slave = os.openpty()
        # A new pseudo-terminal is 0 columns wide.
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        os.set_blocking(self.master, False)
        self._text = ""
        self.process = start(
            *(sys.executable, "-c", TAKE_TERMINAL, *command),
            name="terminal",
            env=environ,
            stdin=slave,
            stdout=slave,
        )
        os.close(slave)

    def screen(self):
        """All that was shown so far, without colours."""
        try:
            while data := os.read(self.master, 65536):
                self._text += data.decode()
        except OSError:
            pass
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self._text)

    def type(self, text):
        os.write(self.master, text.encode())

    def close(self):
        if self.master is not None:
            os.close(self.master)
            self.master = None


@pytest.fixture
def open_terminal(start, server, remora_argv, make_environment):
    opened = []

    def begin(*words):
        environ = make_environment(
            REMORA_SERVER=server.url,
            REMORA_TOKEN=server.token("operator"),
            TERM="xterm-256color",
        )
        opened.append(Terminal([*remora_argv, *words], start, environ))
        return opened[-1]

    yield begin
    for terminal in opened:
        terminal.close()


def end_by_key(terminal):
    terminal.type("\x03")


def end_by_hanging_up(terminal):
    terminal.close()


def end_by_hangup_signal(terminal):
    os.kill(terminal.process.pid, signal.SIGHUP)


@pytest.mark.parametrize("end", [end_by_key, end_by_hanging_up, end_by_hangup_signal])
def test_a_tail_shows_records_and_takes_its_probe_away_at_its_end(
    server, operator, open_terminal, start_child, until, end
):
    child = start_child(
        server.options("child"), "def work(n): pass\nORIGINAL = work.__code__"
    )
    operator.connected("child")
    terminal = open_terminal(
        *("probe", "add", "__main__:work", "--app", "child", "--id", "p"),
        *("--log", "worked on {n}", "--tail"),
    )
    until(lambda: "installed" in terminal.screen(), "the status on the screen")
    child.ask("work(12)")
    until(lambda: "worked on 12" in terminal.screen(), "the record on the screen")
    end(terminal)
    assert terminal.process.wait() == 0, terminal.process.said()
    assert operator.ask("GET", "/api/v1/probes")["probes"] == []
    until(lambda: child.ask("work.__code__ is ORIGINAL"), "the original code")
    if end is end_by_key:
        assert "removed p" in terminal.screen()
