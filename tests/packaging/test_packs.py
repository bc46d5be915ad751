"""What processes read of the frameworks is what people wrote of them."""

from pathlib import Path

from remora import packs
from remora.packs.__main__ import translate


def test_the_frameworks_that_processes_read_are_those_that_people_write():
    """On failure: `python -m remora.packs` makes the file anew."""
    written = Path(packs.pack_file("frameworks")).read_text("utf-8")
    assert Path(packs.FRAMEWORKS).read_text("utf-8") == translate(written)
