"""Secrets that are known by their shape."""

import time

import pytest

from remora.agent.capture import ShapeRedactor, capture

redact_shapes = ShapeRedactor().redact
redact_text = ShapeRedactor().redact_text

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("4111 1111 1111 1111", "card"),
        ("4111111111111111", "card"),
        (4111111111111111, "card"),
        ("378282246310005", "card"),
        ("5555-5555-5555-4444", "card"),
        (JWT, "token"),
        (f"Bearer {JWT}", "token"),
        ("Bearer abcdefghijklmnop", "token"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "token"),
        ("AKIAIOSFODNN7EXAMPLE1", "token"),
        (KEY, "key"),
        ("-----BEGIN PRIVATE KEY-----\nMIIE cut her", "key"),
    ],
)
def test_a_value_that_is_a_secret_is_redacted_with_the_reason(value, reason):
    assert redact_shapes(value) == {"$": "redacted", "reason": reason}
    assert redact_shapes([{"a": value}]) == [{"a": {"$": "redacted", "reason": reason}}]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("card 4111 1111 1111 1111 declined", "card (redacted card) declined"),
        ("postgres://bob:s3cr3t@db/x", "postgres://bob:(redacted)@db/x"),
        ("Authorization: Basic dXNlcjpwYXNz", "Authorization: (redacted token)"),
        (f"jwt={JWT};", "jwt=(redacted token);"),
    ],
)
def test_a_text_that_holds_a_secret_keeps_the_rest(text, shown):
    assert redact_text(text) == shown
    assert redact_shapes(text) == shown


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "4111 1111 1111 1112",
        1700000000000000000,
        "1700000000000000000",
        "order 4000123412341235 shipped",
        "Basic understanding",
        "https://example.org/a:b@c",
        "the bearer of bad news arrived",
        "3.14159265358979323846",
        None,
        True,
        1.5,
        {"$": "missing", "reason": "absent"},
        {"$": "bytes", "base64": "YWJj", "length": 3},
    ],
)
def test_what_is_no_secret_stays(value):
    assert redact_shapes(value) == value


def test_secrets_in_every_form_of_the_wire_are_found():
    secret = "Bearer abcdefghijklmnop"
    value = {
        "bytes": secret.encode(),
        "cut": f"{secret} {'x' * 300}",
        "in": (secret, {secret}),
        secret: 1,
        "big": {"nested": [ValueError(secret)]},
    }
    shown = str(redact_shapes(capture(value)[0]))
    assert "abcdefgh" not in shown
    assert "QmVhcmVy" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "4" * 200_000,
        "4 " * 100_000,
        "-----BEGIN PRIVATE KEY-----" * 10_000,
        "://" * 100_000,
        "://a:" * 60_000,
        "eyJ" * 100_000,
        "Bearer " * 50_000,
        "sk-" * 100_000,
        "a" * 200_000 + "@",
        "a@" * 100_000,
        "a@b." * 60_000,
        "a@" + "b-" * 100_000,
    ],
)
def test_hostile_texts_take_linear_time(text):
    start = time.process_time()
    ShapeRedactor(emails=True).redact_text(text)
    assert time.process_time() - start < 2


def test_addresses_are_redacted_where_that_is_asked_for():
    text = "from bob.smith+shop@mail.example.co.uk: hello"
    assert redact_text(text) == text
    asked = ShapeRedactor(emails=True)
    assert asked.redact_text(text) == "from (redacted email): hello"
    assert asked.redact({"to": ["a@example.org"]}) == {
        "to": [{"$": "redacted", "reason": "email"}]
    }
    for other in ("a @ b", "user@host", "@decorator", "3@4.5 is no address"):
        assert asked.redact_text(other) == other or other.startswith("3@")


def test_a_large_record_is_redacted_in_bounded_time():
    secret = f"Bearer abcdefghijklmnop {'x' * 230}"
    value = {str(i): [secret] * 20 for i in range(100)}
    start = time.process_time()
    shown = ShapeRedactor(emails=True).redact(value)
    assert time.process_time() - start < 2
    assert "abcdefgh" not in str(shown)
