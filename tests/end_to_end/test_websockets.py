"""Messages of websockets are input, and one that attacks ends its connection alone."""

import json
import sys

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

ATTACK = "x' OR '1'='1"
UVICORN = [
    *(sys.executable, "-m", "uvicorn", "--log-level", "critical", "--port", "{port}"),
    *("--lifespan", "off", "vault_sockets:application", "--ws"),
]
SERVERS = {
    "uvicorn websockets": [*UVICORN, "websockets"],
    "uvicorn websockets-sansio": [*UVICORN, "websockets-sansio"],
    "uvicorn wsproto": [*UVICORN, "wsproto"],
    "hypercorn": [
        *(sys.executable, "-m", "hypercorn", "--log-level", "critical"),
        *("--bind", "127.0.0.1:{port}", "vault_sockets:application"),
    ],
    "daphne": [
        *(sys.executable, "-m", "daphne", "-v", "0", "-p", "{port}"),
        "vault_sockets:application",
    ],
    "aiohttp": [sys.executable, "vault_aiohttp.py", "{port}"],
    "tornado": [sys.executable, "vault_tornado.py", "{port}"],
    "sanic": [sys.executable, "vault_sanic.py", "{port}"],
}
# Of what has failed Tornado says nothing, and daphne, which takes no 1008, that it did.
CODES = {"tornado": None, "daphne": 1011}


def open_socket(port, path="/socket"):
    return connect(f"ws://127.0.0.1:{port}{path}", proxy=None, open_timeout=30)


@pytest.mark.parametrize("name", SERVERS)
def test_an_attack_in_a_message_closes_its_socket_and_no_other(
    needs, protect_site, until, name
):
    needs(name.partition(" ")[0])
    port, attacks = protect_site(*SERVERS[name])
    has_names = name in {"aiohttp", "tornado", "sanic"}
    paths = ["/socket", "/socket?swallow=1" if has_names else "/socket/swallow"]

    def write(text):
        return json.dumps({"name": text} if has_names else text)

    with open_socket(port) as other:
        for count, path in enumerate(paths):
            with open_socket(port, path) as connection:
                for honest in (write("bob"), write("bob").encode()):
                    connection.send(honest)
                    assert connection.recv(timeout=30) == '["bob"]'
                text = write(ATTACK)
                connection.send(text.encode() if count else text)
                with pytest.raises(ConnectionClosed) as closed:
                    connection.recv(timeout=30)
                said = closed.value.rcvd
                assert (said and said.code) == CODES.get(name, 1008)
        other.send(write("bob"))
        assert other.recv(timeout=30) == '["bob"]'
    told = until(lambda: len(attacks()) == 2 and attacks(), "the records")
    for attack in told:
        assert attack["blocked"]
        assert (attack["detector"], attack["source"]) == ("sql", "message")
        assert attack["value"] == ATTACK
        assert attack["actor"] == "address:127.0.0.1"
