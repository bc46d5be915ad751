"""Attacks on apps under real servers: none reaches its sink, honest requests pass."""

import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

ATTACK = "x' OR '1'='1"
BOUNDARY = "' UNION SELECT pin FROM users --"


@pytest.fixture
def inside():
    """A service that only the app's own machine should reach; counts its requests."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"inside")

        def log_message(self, *_):
            pass

    asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/admin", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def serve(serve_site, records_in, tmp_path):
    """Starts a site; gives a client of it, its records and its folder."""
    clients = []

    def begin(site, mode, *words):
        records = tmp_path / f"records-{len(clients)}.jsonl"
        options = ["--protect", mode, "--records", records, "--app", "vault"]
        served = serve_site(options, site, *words, workers=1)
        client = httpx.Client(base_url=served.url, timeout=30, trust_env=False)
        clients.append(client)
        return client, lambda: records_in(records, "attack")

    yield begin
    for client in clients:
        client.close()


def asks(client, url, target):
    """Attacks by what they are, each as a request."""
    return {
        "query": lambda: client.get("/sql", params={"name": ATTACK}),
        "json": lambda: client.post("/json", json={"user": {"name": BOUNDARY}}),
        "shell": lambda: client.get("/shell", params={"word": f"a; touch {target}"}),
        "path": lambda: client.get(f"/path{target}"),
        "url": lambda: client.get("/url", params={"url": url}),
    }


def test_a_flask_app_on_gunicorn(serve, inside, until, tmp_path):
    url, asked = inside
    client, records = serve("vault:application", "block")
    target, victim = tmp_path / "made", tmp_path / "victim"
    victim.mkdir()
    for path, params, answer in (
        ("/sql", {"name": "bob"}, '["bob"]'),
        ("/sql", {"name": "O''Hara"}, '["O\'Hara"]'),
        ("/bound", {"name": ATTACK}, "[]"),
        ("/shell", {"word": "hello"}, "hello"),
        ("/path", {"file": "note.txt"}, "a note"),
        ("/path", {"file": "../vault/note.txt"}, "a note"),
    ):
        got = client.get(path, params=params)
        assert (got.status_code, got.text.strip()) == (200, answer), path
    attacks = asks(client, url, target) | {
        "swallow": lambda: client.get("/swallow", params={"name": ATTACK}),
        "spawn": lambda: client.get("/spawn", params={"word": f"$(touch {target})"}),
        "path": lambda: client.get("/path", params={"file": "../../../etc/passwd"}),
        "absolute": lambda: client.get("/path", params={"file": "/etc/passwd"}),
        "remove": lambda: client.get("/remove", params={"file": "../victim"}),
        "file": lambda: client.get("/url", params={"url": "file:///etc/passwd"}),
    }
    for name, attack in attacks.items():
        got = attack()
        assert got.status_code == 403, f"{name}: {got.text[:300]}"
        assert "secret" not in got.text, name
        assert "root:" not in got.text, name
    assert not target.exists()
    assert victim.is_dir()
    assert asked == []
    assert client.get("/sql", params={"name": "bob"}).json() == ["bob"]
    told = until(lambda: len(records()) == len(attacks) and records(), "the records")
    for record in told:
        assert record["blocked"]
        assert record["actor"] == "address:127.0.0.1"
        assert record["request"]["path"]
        assert record["value"]
        start, end = record["statement_marked"]
        assert record["statement"][start:end]
        first = record["stack"][0]
        assert (first["own"], first["file"][-8:]) == (True, "vault.py")
        assert first["source"]
    by_detector = [record["detector"] for record in told]
    counts = {name: by_detector.count(name) for name in by_detector}
    assert counts == {"sql": 3, "shell": 2, "path": 3, "url": 2}
    (record,) = [each for each in told if each["source"] == "json"]
    assert record["value"] == BOUNDARY


def test_no_thousand_inputs_disarm_it(serve):
    client, _ = serve("vault:application", "block", "--threads", "2")
    many = {f"a{n}": f"x'{n}" for n in range(3000)}
    for number in range(1000):
        if number % 100 == 1:
            got = client.post("/form", data={**many, "name": ATTACK})
            assert "secret" not in got.text
            continue
        if number % 4 == 0:
            path = f"/deep?depth={900 + number % 97}&name={ATTACK}"
        else:
            path = "/sql?name=" + "'(" * (number % 900)
        got = client.get(path)
        assert "secret" not in got.text, path[:100]
        assert got.status_code in {200, 403}, path[:100]
    assert client.get("/sql", params={"name": ATTACK}).status_code == 403
    assert client.get("/sql", params={"name": "bob"}).json() == ["bob"]


def test_watching_only_reports(serve, inside, until, tmp_path):
    url, asked = inside
    client, records = serve("vault:application", "watch,path=off")
    target = tmp_path / "made"
    assert "secret eve" in client.get("/sql", params={"name": ATTACK}).json()
    client.get("/shell", params={"word": f"a; touch {target}"})
    assert client.get("/url", params={"url": url}).text == "inside"
    assert "root:" in client.get("/path", params={"file": "/etc/passwd"}).text
    assert target.exists()
    assert asked == ["/admin"]
    told = until(lambda: len(records()) >= 3 and records(), "the records")
    assert {record["detector"] for record in told} == {"sql", "shell", "url"}
    assert not any(record["blocked"] for record in told)


def test_a_starlette_app_on_uvicorn(serve, inside, until, tmp_path):
    url, asked = inside
    client, records = serve("vault_asgi:application", "block")
    target = tmp_path / "made"
    assert client.get("/sql", params={"name": "bob"}).json() == ["bob"]
    assert client.get("/shell", params={"word": "hello"}).text == "hello\n"
    assert client.get("/path/note.txt").text == "a note"
    attacks = asks(client, url, target)
    attacks["path"] = lambda: client.get("/path/..%2f..%2f..%2f..%2fetc%2fpasswd")
    for name, attack in attacks.items():
        got = attack()
        assert got.status_code == 403, f"{name}: {got.status_code} {got.text[:300]}"
    assert not target.exists()
    assert asked == []
    assert client.get("/sql", params={"name": "bob"}).json() == ["bob"]
    told = until(lambda: len(records()) >= len(attacks) and records(), "the records")
    assert {each["detector"] for each in told} == {"sql", "shell", "path", "url"}


DRIVER = """
class Connection:
    def __init__(self):
        self.ran = []

    def run(self, text, values=()):
        self.ran.append(text)
        return len(self.ran)

class Gateway:
    def __init__(self):
        self.connection = Connection()

    def answer(self, call):
        try:
            self.connection.run("SELECT " + call["wish"])
            return 200
        except Exception as error:
            return type(error).__name__

gateway = Gateway()
"""

PACK = """
[[probe]]
id = "gateway"
target = "__main__:Gateway.answer"
request = { kind = "custom", path = "'/wish'", query = "call.query" }

[[probe]]
id = "driver"
target = "__main__:Connection.run"
protect = { detector = "sql", argument = "text", mode = "block" }
"""


def test_a_pushed_pack_protects_a_driver_and_a_framework_never_heard_of(
    server, operator, start_child, remora_command, tmp_path
):
    child = start_child(server.options("wishes"), DRIVER)
    operator.connected("wishes")
    attack = '{"wish": "1; DROP TABLE t", "query": "wish=1;%20DROP%20TABLE%20t"}'
    assert child.ask(f"gateway.answer({attack})") == 200
    pack = tmp_path / "wishes.toml"
    pack.write_text(PACK.replace("call.query", "call['query']"))
    words = ("pack", "apply", pack, "--server", server.url)
    token = str(server.token_file("operator"))
    for mode, answer in (("watch", 200), ("block", "Blocked")):
        done = remora_command(*words, "--mode", mode, REMORA_TOKEN_FILE=token)
        assert done.returncode == 0, done.stderr
        assert ("replaced" if mode == "block" else "added") in done.stdout
        for probe in ("gateway", "driver"):
            operator.reached(probe, "installed")
        assert operator.ask("GET", "/api/v1/probes/driver")["expires_at"] == 0
        wait_for(child, f"gateway.answer({attack})", answer)
    assert child.ask("gateway.answer({'wish': '1', 'query': 'wish=1'})") == 200
    records = operator.arrived("driver", 2)
    assert records[-1]["kind"] == "attack"
    assert records[-1]["blocked"]


SERVED = """
import io, sqlite3, urllib.parse
from wsgiref.handlers import SimpleHandler

def application(environ, start_response):
    name = urllib.parse.parse_qs(environ["QUERY_STRING"])["name"][0]
    rows = sqlite3.connect(":memory:").execute(f"SELECT '{name}'").fetchall()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(rows).encode()]

def ask(name):
    query = urllib.parse.urlencode({"name": name})
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "QUERY_STRING": query}
    environ["SERVER_PROTOCOL"] = "HTTP/1.0"
    out = io.BytesIO()
    SimpleHandler(io.BytesIO(), out, io.StringIO(), environ).run(application)
    return out.getvalue().decode().split()[1]
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="attach knows x86-64 only")
def test_protection_gets_into_a_process_that_runs_and_out_again(
    start_child, remora_command, tmp_path
):
    bare = getattr(sys, "_base_executable", sys.executable)
    child = start_child(None, SERVED, python=(bare,))
    assert child.ask(f"ask({ATTACK!r})") == "200"
    words = ("--protect", "block", "--records", tmp_path / "records")
    done = remora_command("attach", child.pid, *words)
    assert done.returncode == 0, done.stderr
    assert child.ask(f"ask({ATTACK!r})") == "403"
    done = remora_command("detach", child.pid)
    assert done.returncode == 0, done.stderr
    assert child.ask(f"ask({ATTACK!r})") == "200"


def wait_for(child, text, answer):
    """The statuses tell of a mode before it, so the new one may be on its way."""
    for _ in range(100):
        if child.ask(text) == answer:
            return
        child.ask("__import__('time').sleep(0.05)")
    raise AssertionError(answer)
