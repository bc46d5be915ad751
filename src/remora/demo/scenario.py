"""The demo from start to end: what it needs, where its files are, its certain end."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from remora.demo.narration import Narration
from remora.demo.processes import ProcessGroup
from remora.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

NEEDED = ("flask", "gunicorn", "httpx", "msgspec", "starlette", "uvicorn")
"""One package of each kind that the extra `demo` brings."""

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(check: bool, port: int | None, data: Path | None) -> int:  # noqa: FBT001 - named by its callers
    """Play the demo and return the exit status.

    With `check`, verify each step, print one line for each, and end; otherwise explain
    each step and stay up until Ctrl-C. The pages are on `port`, files in `data`.
    """
    if missing := [name for name in NEEDED if not importlib.util.find_spec(name)]:
        raise MissingExtraError(
            f"the demo needs {', '.join(missing)}: pip install 'remora[demo]'"
        )
    from remora.demo.stage import play

    narration = Narration(brief=check)
    try:
        with ExitStack() as stack:
            stack.enter_context(_signals_interrupt())
            folder = stack.enter_context(_folder(data))
            processes = stack.enter_context(ProcessGroup(folder))
            good = play(narration, processes, folder, port)
    except KeyboardInterrupt:
        narration.say("\nEverything that the demo started has ended.")
        return 130 if check else 0
    return 0 if good else 1


@contextmanager
def _signals_interrupt() -> Generator[None]:
    """Let every signal that ends us do so as a Ctrl-C, once: the ending is not cut."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        for ending in _ENDING:
            signal.signal(ending, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _folder(given: Path | None) -> Generator[Path]:
    """The folder for files: the given one is kept, one of our own is removed."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    made = Path(tempfile.mkdtemp(prefix="remora-demo-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
