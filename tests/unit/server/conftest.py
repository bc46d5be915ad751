"""A server without a socket, a browser that signs in, and an agent that feeds it."""

import re
import warnings

import pytest

from remora.server import ServerSettings, create_app

with warnings.catch_warnings():
    # Starlette would rather have another HTTP client than the one we depend on.
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

HERE = "http://localhost"
T0 = 1_700_000_000 * 10**9


class Site:
    """A server, a browser that is signed in, and an agent that feeds it."""

    def __init__(self, client, data):
        self.client = client
        self.data = data
        self.batches = 0

    def token(self, kind):
        return (self.data / f"{kind}.token").read_text().strip()

    def agent(self, path, body):
        answer = self.client.post(
            f"/agent/v1/{path}",
            json=body,
            headers={
                "Authorization": f"Bearer {self.token('agent')}",
                "Remora-Protocol": "1",
            },
        )
        assert answer.status_code < 300, answer.text

    def register(self, number=1, **changes):
        self.agent("register", {"instance": instance(number, **changes)})

    def send(self, *records, number=1, drops=None):
        self.batches += 1
        body = {
            "batch": f"{self.batches:032x}",
            "instance": f"{number:032x}",
            "sent": T0,
            "records": list(records),
            "drops": drops or {},
        }
        self.agent("records", body)

    def say(self, probe, state, reason, number=1, **more):
        status = {"probe": probe, "state": state, "reason": reason, **more}
        body = {"instance": f"{number:032x}", "revision": 2**50, "statuses": [status]}
        self.agent("statuses", body)

    def operator(self, method, path, body):
        answer = self.client.request(
            method,
            f"/api/v1/{path}",
            json=body,
            headers={"Authorization": f"Bearer {self.token('operator')}"},
        )
        assert answer.status_code < 300, answer.text

    def blocks(self):
        return self.client.app.state.operations.blocks.all()

    def sign_in(self, token=None):
        answer = self.client.post(
            "/login",
            data={"token": token or self.token("operator")},
            follow_redirects=False,
        )
        assert answer.status_code == 303, answer.text
        return answer

    def sign_in_to_look(self):
        self.sign_in()
        made = self.post("/tokens", name="looker", kind="read")
        token = re.search(r"rmo_[\w-]{43}", made.text)[0]
        self.client.cookies.clear()
        self.sign_in(token)

    def page(self, path, status=200):
        answer = self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    @property
    def csrf(self):
        return re.search(r'name="csrf" value="(\w+)"', self.client.get("/").text)[1]

    def post(self, path, **fields):
        data = {"csrf": self.csrf, **fields}
        return self.client.post(path, data=data, follow_redirects=False)


def instance(number=1, **changes):
    return {
        "id": f"{number:032x}",
        "app": "shop",
        "env": "prod",
        "version": "1",
        "host": "web-1",
        "pid": 4000 + number,
        "parent_pid": 1,
        "started": T0,
        "python": "3.11.7",
        "agent": "0.1",
        **changes,
    }


@pytest.fixture
def site(tmp_path):
    app = create_app(ServerSettings(data=tmp_path / "data"))
    with TestClient(app, base_url=HERE) as client:
        yield Site(client, tmp_path / "data")
