"""docs/messages.md has a paragraph for every refusal of the server."""

from pathlib import Path

from remora.server.domain import refusals

MESSAGES = Path(__file__).parents[4] / "docs" / "messages.md"


def test_every_refusal_of_the_server_is_documented():
    slugs = {
        kind.slug
        for name, kind in vars(refusals).items()
        if name.endswith("Error") and kind.__module__ == refusals.__name__
    }
    headings = {
        line[3:] for line in MESSAGES.read_text().splitlines() if line.startswith("## ")
    }
    assert slugs | {"internal-error", "bad-message"} <= headings
