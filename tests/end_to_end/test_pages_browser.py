"""The pages in a real browser, on a real server, fed by an agent of this test."""

import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.request
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
WITHIN_MS = 20_000
START = """
import json, sys
from remora.server import read_settings, serve
serve(read_settings(json.loads(sys.argv[1])), lambda url, paths: print(url, flush=True))
"""
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
HOSTILE = (
    "<script>window.owned = 1</script><img src=x onerror='window.owned = 2'>"
    '"><svg onload="window.owned = 3"> \u202eexe.png'
)
PATHS = [
    "/",
    "/instances",
    "/probes",
    "/probes/p",
    "/records",
    "/records/1",
    "/attacks",
    "/attacks/4",
    "/users",
    "/users/one?actor=user:alice&app=shop",
    "/protection",
    "/new-probe",
    "/tokens",
    "/audit",
]
GUARDED = {
    "mode": "block",
    "complaint": "unprotected: no request was seen",
    "packs": [
        {
            "pack": "sql",
            "detector": "sql",
            "mode": "block",
            "guarded": ["sqlite3", *(f"driver-{number}" for number in range(40))],
            "waiting": [f"other-{number}" for number in range(40)],
            "flaws": [{"probe": "psycopg", "state": "partly", "reason": "x" * 300}],
        }
    ],
}
CODE = {
    "file": "/srv/shop/search.py",
    "line": 12,
    "function": "find",
    "source": "    rows = db.execute(f\"SELECT * FROM items WHERE name = '{name}'\")",
    "own": True,
    "before": ["def find(name):", "    db = connect()"],
    "after": ["    return rows"],
}
ATTACK = {
    "kind": "attack",
    "probe": "sql-sqlite3",
    "site": "sqlite3:Cursor.execute",
    "detector": "sql",
    "sentence": "the input ends a string",
    "mode": "block",
    "blocked": True,
    "source": "query",
    "parameter": "q",
    "value": "a' UNION SELECT password FROM users --",
    "value_marked": [1, 38],
    "statement": "SELECT * FROM items WHERE name = 'a' UNION SELECT password FROM "
    "users --'",
    "statement_marked": [35, 72],
    "request": {"id": "r1", "method": "GET", "path": "/search", "client": "192.0.2.7"},
    "user": {"id": "alice", "plan": "free"},
    "actor": "user:alice",
    "stack": [
        CODE,
        {"file": "/usr/lib/python3.11/runpy.py", "line": 88, "function": "_run_code"},
    ],
}

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None and os.environ.get("CI") != "true",
        reason="there is no Chromium on this machine: apt-get install chromium",
    ),
]


class FakeAgent:
    """An agent that obeys nothing and remembers what it was told."""

    def __init__(self, url, token, number):
        self.id = f"{number:032x}"
        self.number = number
        self.pushes = queue.Queue()
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}", "Remora-Protocol": "1"}
        self._batches = 0
        self._connection = None
        self._reader = None

    def call(self, path, body):
        headers = {**self._headers, "Content-Type": "application/json"}
        data = json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self._url}/agent/v1/{path}", data, headers, method="POST"
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            response.read()

    def register(self, **changes):
        process = {
            "id": self.id,
            "app": "shop",
            "env": "prod",
            "version": "4.2",
            "host": f"web-{self.number}",
            "pid": 4000 + self.number,
            "parent_pid": 1,
            "started": time.time_ns(),
            "python": "3.11.7",
            "agent": "0.1",
            **changes,
        }
        self.call("register", {"instance": process})

    def listen(self):
        address = urlsplit(self._url)
        self._connection = HTTPConnection(address.hostname, address.port, timeout=60)
        path = f"/agent/v1/stream?instance={self.id}&revision=0"
        self._connection.request("GET", path, headers=self._headers)
        response = self._connection.getresponse()
        self._reader = threading.Thread(target=self._read, args=[response])
        self._reader.start()

    def _read(self, response):
        with response:
            for line in response:
                if line.startswith(b"data: "):
                    self.pushes.put(json.loads(line[6:]))

    def send(self, *messages, **more):
        self._batches += 1
        record = {"kind": "log", "probe": "by-form", "site": "a:b", "thread": "T"}
        records = [
            {**record, "time": time.time_ns(), "message": message, **more}
            for message in messages
        ]
        batch = f"{self.number:08x}{self._batches:024x}"
        body = {"batch": batch, "instance": self.id, "sent": time.time_ns()}
        self.call("records", {**body, "records": records, "drops": {}})

    def close(self):
        """Wait for the end of the stream, which the server's end has brought."""
        if self._reader is not None:
            self._reader.join(20)
            self._connection.close()


class Site:
    """A server process and what can be told of it."""

    def __init__(self, data):
        self.data = data
        self.agents = []
        given = {"data": str(data), "port": 0}
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", START, json.dumps(given)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
        self.url = self.process.stdout.readline().strip()
        if not self.url:
            said = self.process.stderr.read()
            self.stop()
            raise AssertionError(said)

    def token(self, kind):
        return (self.data / f"{kind}.token").read_text().strip()

    def agent(self, number=1):
        self.agents.append(FakeAgent(self.url, self.token("agent"), number))
        return self.agents[-1]

    def ask(self, path, body):
        """Have an operator's request carried out."""
        request = urllib.request.Request(
            f"{self.url}/api/v1/{path}",
            json.dumps(body).encode(),
            {
                "Authorization": f"Bearer {self.token('operator')}",
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            response.read()

    def fill(self):
        """One instance, one probe with a status, a record of each kind."""
        agent = self.agent()
        agent.register()
        probe = {"id": "p", "target": "a:b", "log": "x", "count": True}
        self.ask("probes", {"probe": probe})
        self.ask("rules", {"mode": "watch", "route": "/console/*", "reason": "why"})
        where = {"site": "a:b", "kind": "function", "mechanism": "codeswap"}
        where |= {"why": "every reference is reached", "file": "/a.py", "line": 1}
        status = {
            "probe": "p",
            "state": "failed",
            "reason": "why not",
            "sites": [where],
        }
        statuses = {"instance": agent.id, "revision": 2**50, "statuses": [status]}
        agent.call("statuses", {**statuses, "protection": GUARDED})
        agent.send("x" * 1000, probe="p", values={"a": {"b": [1]}}, user={"id": "u"})
        histogram = {"buckets": {"1": 2}, "unit": "ms"}
        row = {"key": ["k"], "count": 2, "histogram": histogram}
        for end in (10**18, 2 * 10**18):
            agent.send(None, kind="aggregate", probe="p", by=["x"], rows=[row], end=end)
        agent.send(None, **ATTACK)

    def stop(self):
        self.process.kill()
        self.process.wait(20)
        self.process.stdout.close()
        self.process.stderr.close()
        for agent in self.agents:
            agent.close()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    assert CHROMIUM, "CI needs a Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def site(tmp_path):
    running = Site(tmp_path / "data")
    yield running
    running.stop()


@pytest.fixture
def complaints():
    return []


@pytest.fixture
def page(browser, site, complaints):
    """A tab that is signed in; what its console complains of is in `complaints`."""
    context = browser.new_context()
    context.set_default_timeout(WITHIN_MS)
    tab = context.new_page()
    tab.on(
        "console",
        lambda said: complaints.append(said.text) if said.type == "error" else None,
    )
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(f"{site.url}/instances")
    tab.get_by_label("Operator's token").fill(site.token("operator"))
    tab.get_by_role("button", name="Sign in").click()
    tab.wait_for_url("**/instances")
    yield tab
    context.close()


def test_probe_is_added_watched_and_removed_in_the_browser(site, page, complaints):
    page.get_by_text("No process has registered").wait_for()
    agent = site.agent()
    agent.register()
    page.get_by_role("cell", name="web-1").wait_for()
    agent.listen()
    assert agent.pushes.get(timeout=20)["probes"] == []

    page.get_by_role("link", name="Probes").click()
    page.get_by_role("button", name="Add a probe").click()
    page.get_by_label("Target").fill("shop.billing:charge")
    page.get_by_label("Log", exact=True).fill("charged {amount}")
    page.get_by_label("Only when").fill("amount >")
    page.locator("#preview").get_by_text("when").first.wait_for()
    page.get_by_role("button", name="Add this probe").click()
    page.locator("[id='when-error']").wait_for()
    assert agent.pushes.empty()
    complaints.clear()  # Chromium calls every answer of 400 an error
    page.get_by_label("Only when").fill("amount > 1000")
    page.get_by_label("Id", exact=True).fill("by-form")
    page.get_by_role("button", name="Add this probe").click()
    page.wait_for_url("**/probes/by-form")
    pushed = agent.pushes.get(timeout=20)["probes"]
    assert [probe["id"] for probe in pushed] == ["by-form"]
    page.get_by_text("has not answered yet").wait_for()

    status = {"probe": "by-form", "state": "installed", "reason": "it is in place"}
    agent.call(
        "statuses", {"instance": agent.id, "revision": 2**50, "statuses": [status]}
    )
    page.get_by_text("it is in place").wait_for()
    page.get_by_text("Live", exact=True).wait_for()
    agent.send("charged 1200")
    page.get_by_text("charged 1200").wait_for()

    page.get_by_text("Remove…").click()
    page.get_by_role("button", name="Remove it everywhere").click()
    page.wait_for_url("**/probes")
    assert agent.pushes.get(timeout=20)["probes"] == []
    page.get_by_text("No probes").wait_for()
    assert complaints == []


def test_records_arrive_live_newest_first_and_can_be_paused(site, page, complaints):
    agent = site.agent()
    agent.register()
    page.goto(f"{site.url}/records")
    page.get_by_text("Live", exact=True).wait_for()
    agent.send("the first")
    page.get_by_text("the first").wait_for()
    agent.send("the second")
    page.get_by_text("the second").wait_for()
    assert page.locator(".record .message").all_inner_texts() == [
        "the second",
        "the first",
    ]
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("Paused").wait_for()
    agent.send("while paused")
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("while paused").wait_for()
    assert complaints == []


def test_an_attack_appears_by_itself_and_its_user_is_blocked(site, page, complaints):
    agent = site.agent()
    agent.register()
    agent.listen()
    assert agent.pushes.get(timeout=20)["blocked"] == []
    page.goto(f"{site.url}/attacks")
    page.get_by_text("No attack was reported").wait_for()
    page.get_by_text("Live", exact=True).wait_for()
    agent.send(None, **ATTACK)
    page.get_by_role("cell", name="/srv/shop/search.py").wait_for()
    page.get_by_role("link", name="sql: the input ends a string").click()
    page.wait_for_url("**/attacks/1")
    marks = page.locator("mark").all_inner_texts()
    assert marks == ["' UNION SELECT password FROM users --"] * 2
    page.locator("pre.code strong", has_text="db.execute").wait_for()
    page.get_by_label("Why").fill("scans us")
    page.get_by_role("button", name="Block user:alice").click()
    page.wait_for_url("**/users/one?*")
    page.get_by_text("scans us").wait_for()
    assert agent.pushes.get(timeout=20)["blocked"] == ["user:alice"]
    page.get_by_role("button", name="Unblock user:alice").click()
    page.get_by_role("button", name="Block user:alice").wait_for()
    assert agent.pushes.get(timeout=20)["blocked"] == []
    assert complaints == []


def test_flood_of_records_leaves_a_page_that_answers(site, page, complaints):
    agent = site.agent()
    agent.register()
    page.goto(f"{site.url}/records")
    page.get_by_text("Live", exact=True).wait_for()
    for start in range(0, 5000, 500):
        agent.send(*(f"number {start + each}." for each in range(500)))
    page.get_by_text("number 4999.").wait_for()
    assert page.locator(".record").count() <= 500
    page.get_by_role("button", name="Pause").click()
    page.get_by_text("Paused").wait_for()
    assert complaints == []


def test_hostile_text_does_not_run_in_pages_or_live_updates(site, page, complaints):
    agent = site.agent()
    page.goto(f"{site.url}/records")
    page.get_by_text("Live", exact=True).wait_for()
    agent.register(app=HOSTILE, host=HOSTILE, note=HOSTILE)
    user = {"id": HOSTILE, HOSTILE: HOSTILE}
    agent.send(HOSTILE, user=user, values={HOSTILE: [HOSTILE]}, phase=HOSTILE)
    agent.send("x" * 100_000)
    page.get_by_text("100,000 characters").wait_for()
    assert page.locator(".record").count() == 2
    for path in ("/", "/instances", "/records", "/records/1", "/new-probe"):
        page.goto(site.url + path)
        assert page.evaluate("window.owned") is None
        assert page.locator("main img, main script").count() == 0
    # A refused inline script would be a complaint of the content security policy.
    assert complaints == []


def test_pages_work_without_scripts(site, browser):
    agent = site.agent()
    agent.register()
    with_none = browser.new_context(java_script_enabled=False)
    with_none.set_default_timeout(WITHIN_MS)
    tab = with_none.new_page()
    tab.goto(f"{site.url}/new-probe")
    tab.fill("#token", site.token("operator"))
    tab.click("button")
    tab.wait_for_url("**/new-probe")
    tab.fill("#target", "shop.billing:charge")
    tab.fill("#log", "charged")
    tab.fill("#id", "plain")
    tab.click("#preview-button")
    assert 'target = "shop.billing:charge"' in tab.inner_text("#preview")
    tab.get_by_role("button", name="Add this probe").click()
    tab.wait_for_url("**/probes/plain")
    assert tab.locator("tbody tr").count() == 1
    tab.get_by_text("Remove…").click()
    tab.get_by_role("button", name="Remove it everywhere").click()
    tab.wait_for_url("**/probes")
    assert tab.get_by_text("No probes").count() == 1
    with_none.close()


def test_what_was_unfolded_stays_so_through_live_updates(site, page):
    site.fill()
    agent = site.agents[0]
    page.goto(f"{site.url}/probes/p")
    fold = page.locator("#live details").first
    fold.locator("summary").click()  # it was open
    status = {"probe": "p", "state": "failed", "reason": "another reason"}
    where = {"site": "a:b", "kind": "function", "mechanism": "codeswap", "why": "so"}
    status["sites"] = [where]
    agent.call(
        "statuses", {"instance": agent.id, "revision": 2**50, "statuses": [status]}
    )
    page.get_by_text("another reason").wait_for()
    assert fold.get_attribute("open") is None


def test_rows_stay_in_place_through_live_updates(site, page):
    agent = site.agent()
    agent.register()
    page.goto(f"{site.url}/instances")
    row = page.locator(f"#instance-{agent.id}")
    row.wait_for()
    handle = row.element_handle()
    other = site.agent(2)
    other.register()
    page.locator(f"#instance-{other.id}").wait_for()
    assert handle.evaluate("element => element.isConnected")


def test_server_that_went_away_is_said_so(site, page):
    page.goto(f"{site.url}/instances")
    site.process.kill()
    page.get_by_text("What you see may be old").wait_for()
    assert page.get_by_role("heading", name="Instances").count() == 1


def test_open_pages_do_not_keep_the_server_from_stopping(site, page):
    page.goto(f"{site.url}/records")
    page.get_by_text("Live", exact=True).wait_for()
    site.process.terminate()
    assert site.process.wait(20) == 0


def test_a_phone_needs_no_sideways_scrolling(site, browser):
    site.fill()
    phone = browser.new_context(viewport={"width": 360, "height": 700})
    phone.set_default_timeout(WITHIN_MS)
    tab = phone.new_page()
    tab.goto(f"{site.url}/login")
    tab.fill("#token", site.token("operator"))
    tab.click("button")
    for path in PATHS:
        tab.goto(site.url + path)
        root = "document.documentElement"
        wide = tab.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
        assert wide == 0, path
    phone.close()


def test_pages_have_no_fault_that_axe_finds(site, page):
    script = os.environ.get("REMORA_AXE", "")
    if not script or not Path(script).is_file():
        pytest.skip("REMORA_AXE names no axe.min.js (npm pack axe-core)")
    site.fill()
    source = Path(script).read_text()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        for path in PATHS:
            page.goto(site.url + path)
            page.evaluate(source)
            found = page.evaluate("axe.run().then(result => result.violations)")
            told = [
                (each["id"], [node["html"][:200] for node in each["nodes"][:3]])
                for each in found
            ]
            assert not told, (scheme, path, told)


def test_no_asset_is_loaded_from_elsewhere(site, page):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for path in ("/", "/records", "/new-probe"):
        page.goto(site.url + path)
    assert asked
    assert [url for url in asked if not re.match(re.escape(site.url), url)] == []
