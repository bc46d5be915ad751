"""Attach to web servers while they serve: every worker obeys, and no request fails."""

import json
import os
import sys
import threading
from pathlib import Path

import httpx
import pytest

SITES = Path(__file__).parent / "sites"

pytestmark = pytest.mark.skipif(
    os.uname().machine != "x86_64", reason="attach knows x86-64 only"
)


class Load:
    """Clients that ask without a pause, and remember whatever went wrong."""

    def __init__(self, url, clients=3):
        self.url, self.answered, self.failed = url, 0, []
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    def _ask(self):
        with httpx.Client(timeout=60, trust_env=False) as client:
            while not self._ends.is_set():
                try:
                    answer = client.get(f"{self.url}/some/path")
                except httpx.HTTPError as error:
                    self.failed.append(repr(error))
                    continue
                if answer.status_code != 200:
                    self.failed.append(answer.text)
                self.answered += 1

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self._ends.set()
        for thread in self._threads:
            thread.join(90)


@pytest.mark.parametrize("kind", ["gunicorn", "gevent", "uvicorn"])
def test_all_workers_are_got_into_under_load_and_no_request_fails(
    kind, server, operator, serve_site, remora_command, until
):
    application = "plain:asgi" if kind == "uvicorn" else "plain:application"
    classes = {"gunicorn": "gthread", "gevent": "gevent"}
    words = ("--worker-class", classes[kind]) if kind in classes else ()
    site = serve_site(None, application, *words, workers=2, bare=True)
    match = f"--port {site.port}" if kind == "uvicorn" else f":{site.port}"
    options = ("--app", "plain", "--server", server.url, "--token-file")
    with Load(site.url) as load:
        done = remora_command(
            *("attach", "--all", "--match", match, "--json"),
            *(*options, server.token_file("agent")),
        )
        assert done.returncode == 0, (done.stdout, done.stderr)
        told = json.loads(done.stdout)
        assert {row["state"] for row in told["processes"]} == {"started"}
        workers = {row["pid"] for row in told["processes"] if not row["note"]}
        assert workers == set(site.pids())
        if kind == "uvicorn":
            assert ["resource tracker" in row["why"] for row in told["left"]] == [True]
        operator.connected("plain", 2)
        operator.add(id="p", target="prices:price", count={"every": "1s"})
        operator.reached("p", "installed", 2)
        assert site.everywhere("price.__code__ is ORIGINAL") == {False}
        operator.arrived("p")
        before = load.answered
        until(lambda: load.answered > before + 50, "the load to go on")
        pids = [row["pid"] for row in told["processes"]]
        done = remora_command("detach", *pids)
        assert done.returncode == 0, (done.stdout, done.stderr)
        before = load.answered
        until(lambda: load.answered > before + 50, "the load to go on")
        assert site.everywhere("price.__code__ is ORIGINAL") == {True}
    assert load.failed == []
    assert load.answered > 100
    operator.ask("GET", "/api/v1/instances")


def test_workers_that_an_attached_master_forks_later_are_served(
    server, operator, serve_site, remora_command
):
    site = serve_site(None, "plain:application", workers=1, bare=True)
    options = ("--app", "plain", "--server", server.url, "--token-file")
    token = server.token_file("agent")
    done = remora_command("attach", site.process.pid, *options, token)
    assert "idle, gunicorn's master: its workers are served" in done.stdout, done
    (worker,) = site.pids()
    os.kill(worker, 15)
    (instance,) = operator.connected("plain", 1)
    assert instance["pid"] != worker


def test_connections_that_sanic_has_open_are_guarded_and_let_go_again(
    needs,
    server,
    operator,
    start,
    make_environment,
    remora_command,
    until,
    free_port,
    tmp_path,
):
    needs("sanic")
    port = free_port()
    (tmp_path / "doors").mkdir()
    environ = make_environment(DOORS=str(tmp_path / "doors"))
    site = start(sys.executable, "vault_sanic.py", str(port), cwd=SITES, env=environ)
    name = {"params": {"name": "x' OR '1'='1"}}
    with httpx.Client(
        base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False
    ) as client:

        def answers(status):
            try:
                return client.get("/swallowed", **name).status_code == status
            except httpx.TransportError:
                return False

        until(lambda: answers(200), f"the site: {site.said()}")
        done = remora_command(
            *("attach", site.pid, "--app", "vault", "--protect", "block"),
            *("--server", server.url, "--token-file", server.token_file("agent")),
        )
        assert done.returncode == 0, done.stderr
        operator.connected("vault", 1)
        until(lambda: answers(403), "protection")
        operator.ask("POST", "/api/v1/blocks", json={"actor": "127.0.0.0/8"})
        until(lambda: client.get("/").status_code == 403, "the block")
        done = remora_command("detach", site.pid)
        assert done.returncode == 0, done.stderr
        until(lambda: answers(200), "the end of it")
        assert client.get("/").text == "hello"
