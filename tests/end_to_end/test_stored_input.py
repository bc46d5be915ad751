"""What one request stores and another one reads is input, where that is asked for."""

import sys

import httpx
import pytest

ATTACK = "x' OR '1'='1"
GUNICORN = [
    *(sys.executable, "-m", "gunicorn", "--log-level", "critical"),
    *("--bind", "127.0.0.1:{port}", "--workers", "2", "--preload"),
    "guestbook:application",
]


@pytest.fixture
def serve(protect_site):
    """Starts the guestbook; gives a way to ask each of its workers, and its attacks."""

    def begin(mode, stored_input):
        port, attacks = protect_site(
            *GUNICORN, mode=mode, REMORA_STORED_INPUT=stored_input
        )

        def ask(method, path, **more):
            url = f"http://127.0.0.1:{port}{path}"
            options = {"trust_env": False, "timeout": 30, **more}
            return httpx.request(method, url, **options)

        return ask, attacks

    return begin


def test_a_stored_attack_is_stopped_when_it_is_read_and_names_its_sender(serve, until):
    ask, attacks = serve("block", "on")
    assert ask("POST", "/sign", data={"name": "O''Hara & sons"}).status_code == 200
    assert ask("GET", "/greet").status_code == 200
    ask("POST", "/sign?account=mallory", data={"name": ATTACK})
    for number in range(8):  # by whichever worker
        answer = ask("GET", f"/greet?account=victim{number}")
        assert answer.status_code == 403, number
        assert "secret" not in answer.text
    told = until(lambda: len(attacks()) == 8 and attacks(), "the records")
    for number, attack in enumerate(sorted(told, key=lambda each: each["actor"])):
        assert attack["actor"] == f"user:victim{number}"
        assert (attack["source"], attack["parameter"]) == ("stored", "user:mallory")
        assert attack["value"] == ATTACK


def test_nobody_knows_of_it_where_that_is_not_asked_for(serve):
    ask, attacks = serve("block", "off")
    ask("POST", "/sign", data={"name": ATTACK})
    assert "secret" in ask("GET", "/greet").text
    assert attacks() == []
