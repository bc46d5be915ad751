"""Tokens, sessions, CSRF, Host and Origin."""

import asyncio
import stat

import pytest
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response

from remora.server.auth import CSRF_HEADER, Credentials, Guard, Perimeter
from remora.server.auth import credentials as credentials_module
from remora.server.config import ServerSettings
from remora.server.domain import (
    Access,
    CsrfRefusedError,
    HostRefusedError,
    OriginRefusedError,
    TokenForbiddenError,
    TokenKind,
    TokenMissingError,
)
from remora.server.store import SqliteStore

LOOPBACK = ServerSettings()


@pytest.fixture
def store(tmp_path):
    opened = SqliteStore(tmp_path / "remora.db")
    yield opened
    opened.close()


async def first_credentials(store, directory):
    credentials = Credentials(store.access)
    await credentials.load()
    await credentials.make_first(directory)
    return credentials


def read(path):
    return path.read_text().strip()


def a_request(method="GET", **headers):
    raw = [
        (k.replace("_", "-").lower().encode(), v.encode()) for k, v in headers.items()
    ]
    return Request({"type": "http", "method": method, "headers": raw, "path": "/"})


def test_first_start_writes_two_tokens_for_the_owner_alone(store, tmp_path):
    async def body():
        credentials = await first_credentials(store, tmp_path)
        for kind in ("agent", "operator"):
            path = tmp_path / f"{kind}.token"
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            caller = credentials.by_token(read(path))
            assert caller.token.kind.value == kind
        assert credentials.by_token("rmo_wrong") is None

    asyncio.run(body())


def test_later_starts_make_no_tokens(store, tmp_path):
    async def body():
        await first_credentials(store, tmp_path)
        text = read(tmp_path / "agent.token")
        (tmp_path / "operator.token").unlink()
        again = await first_credentials(store, tmp_path)
        assert read(tmp_path / "agent.token") == text
        assert not (tmp_path / "operator.token").exists()
        assert len(again.tokens) == 2

    asyncio.run(body())


def test_session_lasts_over_a_restart_and_ends_with_log_out_or_its_token(
    store, tmp_path
):
    async def body():
        credentials = await first_credentials(store, tmp_path)
        operator = read(tmp_path / "operator.token")
        first, second = [await credentials.log_in(operator) for _ in range(2)]
        again = Credentials(store.access)
        await again.load()
        caller = again.by_session(first)
        assert caller.by_cookie
        assert caller.name == "operator"
        await again.log_out(first)
        assert again.by_session(first) is None
        await again.remove(caller.token.id, "ann")
        assert again.by_session(second) is None
        assert not again.is_valid(caller)
        assert await store.access.sessions() == []

    asyncio.run(body())


def test_session_expires(store, tmp_path, monkeypatch):
    monkeypatch.setattr(credentials_module, "SESSION_S", 0)

    async def body():
        credentials = await first_credentials(store, tmp_path)
        session = await credentials.log_in(read(tmp_path / "operator.token"))
        assert credentials.by_session(session) is None
        await credentials.forget_expired()
        assert await store.access.sessions() == []

    asyncio.run(body())


def test_only_an_operators_token_logs_in(store, tmp_path):
    async def body():
        credentials = await first_credentials(store, tmp_path)
        with pytest.raises(TokenForbiddenError, match="rmo_"):
            await credentials.log_in(read(tmp_path / "agent.token"))
        with pytest.raises(TokenMissingError):
            await credentials.log_in("guess")

    asyncio.run(body())


def test_change_by_cookie_needs_the_csrf_token_of_its_session(store, tmp_path):
    async def body():
        credentials = await first_credentials(store, tmp_path)
        guard = Guard(LOOPBACK, credentials)
        session = await credentials.log_in(read(tmp_path / "operator.token"))
        cookie = {"Cookie": f"remora_session={session}"}
        token = guard.csrf_token(a_request(**cookie))
        assert guard.operator(a_request(**cookie)).by_cookie
        header = CSRF_HEADER.replace("-", "_")
        for wrong in ({}, {header: "guess"}, {header: session}, {header: "\xe9"}):
            with pytest.raises(CsrfRefusedError):
                guard.operator(a_request("POST", **cookie, **wrong))
        assert guard.operator(a_request("POST", **cookie, **{header: token})).may_write

    asyncio.run(body())


def test_wrong_header_is_not_made_good_by_a_cookie(store, tmp_path):
    async def body():
        credentials = await first_credentials(store, tmp_path)
        session = await credentials.log_in(read(tmp_path / "operator.token"))
        guard = Guard(LOOPBACK, credentials)
        for header in ("Bearer rmo_wrong", "Basic YTpi", ""):
            with pytest.raises(TokenMissingError):
                guard.operator(
                    a_request(Cookie=f"remora_session={session}", Authorization=header)
                )

    asyncio.run(body())


def test_reader_who_logged_in_may_not_change(store, tmp_path):
    async def body():
        credentials = await first_credentials(store, tmp_path)
        _, text = await credentials.add(
            TokenKind.OPERATOR, "eyes", "ann", access=Access.READ
        )
        session = await credentials.log_in(text)
        guard = Guard(LOOPBACK, credentials)
        with pytest.raises(TokenForbiddenError, match="may only look"):
            guard.operator(a_request("POST", Cookie=f"remora_session={session}"))

    asyncio.run(body())


@pytest.mark.parametrize("tls", [True, False])
def test_cookie_is_hidden_from_scripts_and_other_sites(store, tls):
    settings = ServerSettings(public_url="https://r.example" if tls else "")
    response = Response()
    Guard(settings, Credentials(store.access)).set_session(response, "s")
    cookie = response.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert ("; secure" in cookie) is tls
    assert cookie.startswith("__host-") is tls


@pytest.mark.parametrize(
    "host",
    ["localhost:7878", "127.0.0.1", "[::1]:7878", "127.0.0.1:9", "LOCALHOST"],
)
def test_names_of_a_loopback_server_are_served(host):
    Perimeter(LOOPBACK).check("GET", Headers({"host": host}))


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "", "[", "10.0.0.1", "@localhost@x"],
)
def test_foreign_host_is_refused(host):
    with pytest.raises(HostRefusedError):
        Perimeter(LOOPBACK).check("GET", Headers({"host": host}))


def test_public_name_and_addresses_of_an_open_server_are_served():
    settings = ServerSettings(
        host="0.0.0.0", insecure=True, public_url="https://remora.example"
    )
    perimeter = Perimeter(settings)
    perimeter.check("GET", Headers({"host": "remora.example"}))
    perimeter.check("GET", Headers({"host": "10.1.2.3:7878"}))
    with pytest.raises(HostRefusedError):
        perimeter.check("GET", Headers({"host": "other.example"}))


def test_request_with_a_token_may_use_any_name():
    headers = Headers({"host": "remora-in-docker:7878", "authorization": "Bearer x"})
    Perimeter(LOOPBACK).check("POST", headers)


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://127.0.0.1:9999", "http://localhost:7878"],
)
def test_change_from_another_origin_is_refused(origin):
    headers = Headers({"host": "127.0.0.1:7878", "origin": origin})
    with pytest.raises(OriginRefusedError):
        Perimeter(LOOPBACK).check("POST", headers)
    Perimeter(LOOPBACK).check("GET", headers)


def test_change_from_an_own_page_is_let_through():
    own = {"host": "127.0.0.1:7878", "origin": "http://127.0.0.1:7878"}
    Perimeter(LOOPBACK).check("POST", Headers(own))
    behind = ServerSettings(public_url="https://remora.example")
    public = {"host": "127.0.0.1:7878", "origin": "https://remora.example"}
    Perimeter(behind).check("POST", Headers(public))
