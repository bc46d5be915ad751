"""`remora demo`: hands over to the demo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping


def demo(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora demo`."""
    del environ
    from remora.demo import run

    data = None if arguments.data is None else Path(arguments.data)
    return run(check=arguments.check, port=arguments.port, data=data)
