"""`remora probe schema`: the JSON schema of probe files, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from remora import protocol

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

SCHEMA = Path(protocol.__file__).with_name("probe_file.schema.json")
"""Where the schema is, in the wheel too."""


def show_schema(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora probe schema`."""
    del arguments, environ  # it is JSON in any case
    print(SCHEMA.read_text("utf-8"), end="")
    return 0
