"""What processes read of the packs is what people wrote of them."""

import tomllib
from pathlib import Path

import pytest

from remora import packs
from remora.packs.__main__ import NAMES, translate
from remora.protocol import parse_probe


@pytest.mark.parametrize("name", NAMES)
def test_what_processes_read_is_what_people_write(name):
    """On failure: `python -m remora.packs` makes the files anew."""
    assert Path(packs.made_file(name)).read_text("utf-8") == translate(name)


@pytest.mark.parametrize("name", [*packs.PROTECTION, packs.THREADS, packs.STORED])
def test_a_probe_is_the_same_from_both_files(name):
    written = tomllib.loads(Path(packs.pack_file(name)).read_text("utf-8"))["probe"]
    read = packs.read_made(name, {})
    assert list(map(parse_probe, read)) == list(map(parse_probe, written))


def test_every_pack_has_both_files():
    for suffix in ("toml", "json"):
        found = {path.stem for path in Path(packs.FOLDER).glob(f"*.{suffix}")}
        assert found == set(NAMES)
