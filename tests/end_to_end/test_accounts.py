"""The account behind an attack is found where the libraries for accounts keep it."""

import sys

import httpx
import pytest

ATTACK = {"name": "x' OR '1'='1"}
GUNICORN = ["gunicorn", "--log-level", "critical", "--bind", "127.0.0.1:{port}"]
UVICORN = ["uvicorn", "--log-level", "critical", "--port", "{port}"]


@pytest.fixture
def serve(protect_site, until):
    """Starts a site; gives a maker of clients and the actors of its attacks."""
    clients = []

    def begin(*words):
        port, attacks = protect_site(sys.executable, "-m", *words)

        def client(**headers):
            named = {name.replace("_", "-"): text for name, text in headers.items()}
            url = f"http://127.0.0.1:{port}"
            options = {"trust_env": False, "timeout": 30, "headers": named}
            clients.append(httpx.Client(base_url=url, **options))
            return clients[-1]

        def actors(count):
            told = until(lambda: len(attacks()) >= count and attacks(), "the records")
            return [each["actor"] for each in told]

        return client, actors

    yield begin
    for client in clients:
        client.close()


def attack(client, path):
    assert client.get(path, params=ATTACK).status_code == 403, path


def test_flask_login_by_session_header_and_remembering_cookie(serve):
    client, actors = serve(*GUNICORN, "accounts_flask:application")
    alice = client()
    alice.post("/login/alice")
    attack(alice, "/unasked")
    remembered = client()
    remembered.post("/login/stored-bob?remember=1")
    remembered.cookies.delete("session")
    attack(remembered, "/sql")
    attack(client(x_account="carol"), "/sql")
    own = client()
    own.post("/own-session/dave")
    attack(own, "/sql")
    attack(client(), "/sql")
    assert actors(5) == [
        *("user:alice", "user:stored-bob", "user:carol", "user:dave"),
        "address:127.0.0.1",
    ]


def test_starlettes_authentication_and_session(serve):
    client, actors = serve(*UVICORN, "accounts_starlette:application")
    alice = client(x_account="alice")
    attack(alice, "/sql")
    attack(alice, "/below/sql")
    bob = client()
    bob.post("/own-session/bob")
    attack(bob, "/sql")
    attack(client(), "/sql")
    assert actors(4) == [
        *("user:alice", "user:alice", "user:bob", "address:127.0.0.1"),
    ]


@pytest.mark.parametrize(
    "words",
    [
        [*GUNICORN, "accounts_django:application"],
        [*UVICORN, "accounts_django:asgi_application"],
    ],
    ids=["wsgi", "asgi"],
)
def test_djangos_accounts_and_its_session(serve, words):
    client, actors = serve(*words)
    someone = client()
    someone.get("/login/user1")
    paths = ["/sql", "/task", "/unasked"]
    for path in paths:
        attack(someone, path)
    attack(client(), "/sql")
    assert actors(4) == [*["user:2"] * 3, "address:127.0.0.1"]
