"""The documents agree with the code, and with each other."""

import inspect
import re
from pathlib import Path

import pytest

import remora.errors
from remora.agent import config
from remora.agent.capture import FRAMES_WITH_LOCALS
from remora.agent.request.held import HELD_BYTES, HELD_RECORDS
from remora.protocol import STATES, UNMET_LIMIT, count, override, probe_reading, span

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.joinpath("docs").rglob("*.md"),
        ROOT / "tests" / "README.md",
        ROOT / "requirements" / "README.md",
        ROOT / "changes" / "README.md",
    ]
)
LINK = re.compile(r"(?<!`)\[[^\]\n]+\]\(([^)\s]+)\)")


def read(name):
    return (ROOT / "docs" / name).read_text("utf-8")


def anchors_of(page):
    """Anchors of a page's headings, as the common renderers make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_resolve(page):
    for link in LINK.findall(page.read_text("utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in anchors_of(target), f"{page.name} links to {link}"


def test_every_page_is_reached_from_the_index():
    docs = ROOT / "docs"
    linked = {(docs / link).resolve() for link in LINK.findall(read("index.md"))}
    pages = {path for path in docs.rglob("*.md") if path.parent.name != "design"}
    assert pages - linked - {docs / "index.md"} == set()


def test_every_danger_has_a_test_that_is_there():
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", read("design/containment.md"))
    assert named
    for file, name in named:
        text = (ROOT / "tests" / file).read_text("utf-8")
        assert re.search(rf"def {name}\(", text), f"{file} has no {name}"


def slugs():
    classes = inspect.getmembers(remora.errors, inspect.isclass)
    return {c.slug for _, c in classes if issubclass(c, remora.errors.RemoraError)}


def test_every_message_a_user_can_meet_has_a_paragraph():
    page = read("messages.md")
    headings = re.findall(r"^## ([\w-]+)$", page, re.MULTILINE)
    assert slugs() - set(headings) == set()
    assert headings == sorted(set(headings))


def test_every_key_of_a_probe_is_described():
    page = read("reference/probes.md")
    keys = {*probe_reading._READERS, *probe_reading.REQUEST_KEYS}
    assert {key for key in keys if f"`{key}`" not in page} == set()


def test_the_table_of_states_is_that_of_the_code():
    page = read("reference/statuses.md")
    for state, meaning in STATES.items():
        after = ", ".join(f"`{each}`" for each in meaning.leads_to) or "nothing"
        assert f"| `{state.value}` | {meaning.sentence} | {after} |\n" in page
    assert f"{UNMET_LIMIT:,}" in page


def test_every_setting_is_described():
    page = read("reference/python-api.md")
    names = [setting.name for setting in config.SETTINGS]
    assert {name for name in names if f"`{name}`" not in page} == set()


def test_bounds_that_the_pages_state_are_those_of_the_code():
    page = read("reference/probes.md")
    assert f"up to {probe_reading.NOTES_LIMIT} names" in page
    assert f"last {HELD_RECORDS} records" in page
    assert f"{HELD_BYTES >> 20} MiB" in page
    assert f"up to {span.ATTRIBUTES_LIMIT} names and" in page
    assert f"1 to {probe_reading.FRAMES_LIMIT} globs" in page
    assert f"first {FRAMES_WITH_LOCALS} of them" in page
    assert f"1 to {count.TOP_LIMIT}: only" in page
    assert f"up to {override.ARGUMENTS_LIMIT} parameters" in page
    assert f"1 to {probe_reading.SNAPSHOT_LIMIT} expressions" in page
    assert f"up to {count.COUNT_KEYS_LIMIT} expressions" in page
    assert f"`{count.DEFAULT_EVERY_S:g}s`" in page


def test_each_target_of_make_is_there_once_and_calls_a_session_that_is_there():
    text = (ROOT / "Makefile").read_text("utf-8")
    sessions = (ROOT / "noxfile.py").read_text("utf-8")
    targets = re.findall(r"^([a-z-]+):(?!=)", text, re.MULTILINE)
    [phony] = re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    assert sorted(targets) == sorted(phony.split())
    for name in re.findall(r"--session ([\w-]+)", text):
        assert re.search(rf'name="{name}"|^def {name}\(', sessions, re.MULTILINE), name
