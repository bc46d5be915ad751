"""Who is behind a request, by the framework or by the address."""

from __future__ import annotations

import uuid

import pytest

from remora.agent.config import read_settings
from remora.agent.request import (
    RequestContext,
    actor,
    actor_of,
    current_user,
    from_environ,
    from_scope,
    serve_request,
    set_user,
)
from remora.errors import ConfigError


@pytest.fixture(autouse=True)
def proxies():
    actor.trust_proxies(("10.0.0.0/8", "fd00::/8"))
    yield
    actor.trust_proxies(())


def of_environ(client: str, **environ: object) -> str:
    context = RequestContext()
    from_environ(context, {"REMOTE_ADDR": client, **environ})
    return actor_of(context)


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("1.2.3.4", "9.9.9.9", "1.2.3.4"),
        ("10.0.0.1", "evil, 6.6.6.6, 9.9.9.9, 10.1.1.1", "9.9.9.9"),
        ("10.0.0.1", "9.9.9.9:4711", "9.9.9.9"),
        ("10.0.0.1", "[2001:db8::1]:80, fd00::2", "2001:db8::1"),
        ("::ffff:10.0.0.1", "9.9.9.9", "9.9.9.9"),
        ("10.0.0.1", "evil, 10.1.1.1", "10.1.1.1"),
        ("10.0.0.1", "evil", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("unix:", "9.9.9.9", "unix:"),
    ],
)
def test_only_what_trusted_proxies_wrote_is_believed(client, forwarded, address):
    assert of_environ(client, HTTP_X_FORWARDED_FOR=forwarded) == f"address:{address}"


def test_the_forwarded_header_is_read_where_the_older_one_is_missing() -> None:
    said = 'for="[2001:db8::1]:80";proto=http, by=x;For=10.2.2.2'
    assert of_environ("10.0.0.1", HTTP_FORWARDED=said) == "address:2001:db8::1"


def test_repeated_headers_are_one_list() -> None:
    context = RequestContext()
    headers = [(b"x-forwarded-for", b"6.6.6.6"), (b"x-forwarded-for", b"9.9.9.9")]
    scope = {"type": "http", "headers": headers, "client": ("10.0.0.1", 1)}
    from_scope(context, scope)
    assert actor_of(context) == "address:9.9.9.9"


def test_without_proxies_no_header_is_believed() -> None:
    actor.trust_proxies(())
    assert of_environ("10.0.0.1", HTTP_X_FORWARDED_FOR="9.9.9.9") == "address:10.0.0.1"


class Account:
    def __init__(self, identifier):
        self.id = identifier


@pytest.mark.parametrize(
    ("more", "user"),
    [
        ({"user": Account("alice")}, "alice"),
        ({"user": Account(7)}, "7"),
        ({"user": Account(uuid.UUID(int=1))}, str(uuid.UUID(int=1))),
        ({"session": {"user_id": 8}}, "8"),
        ({"user": object(), "session": {"_user_id": "bob"}}, "bob"),
    ],
)
def test_a_scope_names_its_account(more, user) -> None:
    context = RequestContext()
    from_scope(context, {"type": "http", **more})
    assert actor_of(context) == f"user:{user}"
    serve_request(context)
    assert current_user().id == user


def test_the_server_names_an_account_and_the_app_knows_better() -> None:
    assert of_environ("1.1.1.1", REMOTE_USER="carol") == "user:carol"
    context = RequestContext()
    from_environ(context, {"REMOTE_USER": "carol"})
    serve_request(context)
    set_user("alice", {})
    assert actor_of(context) == "user:alice"


def test_nobody_is_unknown_and_no_code_of_the_app_runs(exploding) -> None:
    assert actor_of(RequestContext()) == "unknown"
    context = RequestContext()
    odd = exploding()
    from_scope(context, {"type": "http", "user": odd, "session": odd})
    assert actor_of(context) == "unknown"


def test_a_network_that_is_none_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigError, match="nonsense"):
        read_settings({}, {"REMORA_TRUSTED_PROXIES": "10.0.0.0/8 nonsense"})
