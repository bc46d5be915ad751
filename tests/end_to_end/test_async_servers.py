"""aiohttp, Tornado, Sanic on servers of their own: input is known, attacks refused."""

import sys

import httpx
import pytest

ATTACK = "x' OR '1'='1"
FILE = ("a.bin", b"x" * 300_000)
ASKS = {
    "query": lambda ask, name: ask.get("/query", params={"name": name}),
    "path": lambda ask, name: ask.get(f"/path/{name}"),
    "header": lambda ask, name: ask.get("/header", headers={"x-name": name}),
    "cookie": lambda ask, name: ask.get(
        "/cookie", headers={"cookie": f'name="{name}"'}
    ),
    "form": lambda ask, name: ask.post("/form", data={"name": name}),
    "multipart": lambda ask, name: ask.post(
        "/form", files={"file": FILE, "name": (None, name)}
    ),
    "json": lambda ask, name: ask.post("/json", json={"user": {"name": name}}),
    "body": lambda ask, name: ask.post("/lines", content=name),
}


WHO = """
[[probe]]
id = "who"
target = "vault:rows"
log = "{request.method} {request.path} {request.query['name']} {request.headers['x-a']}"
"""


@pytest.fixture(params=["aiohttp", "tornado", "sanic"])
def serve(needs, protect_site, request):
    """Starts the server; gives a client of it and its attacks."""
    needs(request.param)
    clients = []

    def begin(mode="block", **variables):
        words = (sys.executable, f"vault_{request.param}.py", "{port}")
        port, attacks = protect_site(*words, mode=mode, **variables)
        clients.append(
            httpx.Client(
                base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30
            )
        )
        return clients[-1], attacks

    yield begin
    for client in clients:
        client.close()


def test_every_source_is_known_and_an_attack_from_it_refused(serve, until, request):
    client, attacks = serve()
    for source, ask in ASKS.items():
        assert "bob" in ask(client, "bob").text, source
        answer = ask(client, ATTACK)
        assert answer.status_code == 403, source
        assert "secret" not in answer.text
    client.get("/account", params={"name": ATTACK, "user": "alice"})
    told = until(lambda: len(attacks()) > len(ASKS) and attacks(), "the records")
    assert [each["source"] for each in told] == [*ASKS, "query"]
    assert {each["value"] for each in told} == {ATTACK}
    routes = {"aiohttp": "/path/{name}", "tornado": None, "sanic": "path/<name:str>"}
    server = request.node.callspec.params["serve"]
    assert told[1]["request"].get("route") == routes[server]
    assert told[-1]["actor"] == "user:alice"


def test_an_account_that_a_handler_finds_is_the_actor(protect_site, until):
    words = (sys.executable, "vault_tornado.py", "{port}")
    port, attacks = protect_site(*words)
    asked = f"http://127.0.0.1:{port}/session"
    assert httpx.get(asked, params={"name": ATTACK}, trust_env=False).is_client_error
    (told,) = until(lambda: attacks(), "the record")
    assert told["actor"] == "user:bob@example.com"


@pytest.mark.parametrize("path", ["/query", "/swallowed", "/raised", "/stream/early"])
def test_whatever_the_handler_answers_the_client_gets_a_403(serve, path):
    client, _ = serve()
    address = client.get("/").extensions["network_stream"].get_extra_info("client_addr")
    wanted = {"name": ATTACK}
    page = client.get(path, params=wanted, headers={"accept": "text/html,*/*"})
    assert (page.status_code, "<code>" in page.text) == (403, True)
    assert "x-own" not in page.headers
    json = client.get(path, params=wanted, headers={"accept": "application/json"})
    assert json.json().keys() == {"error", "status", "request"}
    head = client.head(path, params=wanted, headers={"accept": "text/html"})
    assert (head.status_code, head.content) == (403, b"")
    assert head.headers["content-length"] == str(len(page.content))
    # the connection is as good as after any other answer
    after = client.get("/").extensions["network_stream"]
    assert after.get_extra_info("client_addr") == address


def test_a_stream_that_has_begun_is_cut_and_honest_answers_are_whole(serve):
    client, _ = serve()
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/stream/late", params={"name": ATTACK})
    for when, text in (("early", "fine"), ("late", "begunfine")):
        answer = client.get(f"/stream/{when}", params={"name": "bob"})
        assert (answer.text, answer.headers["x-own"]) == (text, "1")
    assert client.get("/file").text == "a note"
    assert client.get("/nowhere").status_code == 404
    assert client.get("/raised", params={"name": "bob"}).status_code == 302


def test_watching_alone_reports_and_holds_nothing_back(serve, until):
    client, attacks = serve("watch")
    answer = client.post("/form", data={"name": ATTACK})
    assert "secret eve" in answer.text
    (told,) = until(lambda: attacks(), "the record")
    assert (told["source"], told["blocked"]) == ("form", False)


def test_expressions_know_a_request_that_nothing_protects(serve, until, tmp_path):
    probes = tmp_path / "who.toml"
    probes.write_text(WHO)
    client, _ = serve("off", REMORA_PROBES=str(probes))
    client.get("/query", params={"name": "bob"}, headers={"x-a": "b"})
    (records,) = until(lambda: list(tmp_path.glob("attacks*.jsonl")), "a record")
    until(lambda: "GET /query bob b" in records.read_text(), "the record")
