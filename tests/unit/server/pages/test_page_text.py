"""Text from apps: escaped, spelled out, cut; times in words."""

import pytest

from remora.server.pages.text import label, moment, plain, shown, span


def test_markup_is_escaped():
    assert "<b>" not in shown("<b>")
    assert "<b>" not in label("<b>")
    assert "&lt;b&gt;" in shown("<b>")


@pytest.mark.parametrize(
    ("character", "name"),
    [
        ("\x00", r"\x00"),
        ("\r", r"\x0d"),
        ("\x7f", r"\x7f"),
        ("\u200b", r"\u200b"),
        ("\u2028", r"\u2028"),
        ("\u202e", r"\u202e"),
        ("\u2066", r"\u2066"),
        ("\ufeff", r"\ufeff"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
    ],
)
def test_character_that_cannot_be_seen_is_spelled_out(character, name):
    for made in (shown(f"a{character}b"), label(f"a{character}b"), plain(character)):
        assert character not in made
        assert name in made
        made.encode()


def test_ordinary_texts_of_all_scripts_stay_as_they_are():
    text = "naïve\tΩ שלום 日本 👩\u20e3\nnext"
    assert shown(text) == f'<span class="text">{text}</span>'


def test_long_text_is_behind_a_fold_and_cut_at_the_limit():
    html = shown("x" * 10_000 + "END", limit=5000)
    assert html.startswith("<details")
    assert "10,003 characters" in html
    assert "cut here" in html
    assert "END" not in html
    assert html.count("x") < 5400


def test_label_stays_on_one_line():
    assert "\n" not in label("a\nb")
    assert len(label("x" * 500, 20)) < 70


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "now"),
        (1, "1 s ago"),
        (59.9, "59 s ago"),
        (60, "1 min ago"),
        (7300, "2 h ago"),
        (200_000, "2 d ago"),
        (-3000, "in 50 min"),
    ],
)
def test_span_is_given_in_its_largest_unit(seconds, words):
    assert span(seconds) == words


def test_moment_has_the_exact_time_as_title():
    html = moment(1_700_000_000_123_000_000, 1_700_000_005_000_000_000)
    assert 'title="2023-11-14 22:13:20.123 UTC"' in html
    assert ">4 s ago<" in html


def test_time_beyond_the_calendar_breaks_nothing():
    assert "no time" in moment(2**63 - 1 + 10**30, 0)
