"""The account behind a request: in records and conditions, and in no other request."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

USERS = [f"user{number}" for number in range(200)]
UNLIMITED = {"rate": "100000/s", "time": "100%"}
GATEWAYS = {
    "gthread": (
        "shopfront:application",
        ["--worker-class", "gthread", "--threads", 8],
    ),
    "uvicorn": ("shopfront_asgi:application", []),
}


@pytest.mark.parametrize("gateway", GATEWAYS)
def test_two_hundred_interleaved_users_are_told_apart(
    server, operator, serve_site, gateway
):
    app, words = GATEWAYS[gateway]
    site = serve_site(server.options("shop"), app, *words)
    operator.connected("shop", 2)
    every = {"target": "prices:price", "limit": UNLIMITED}
    operator.add(id="all", log="{user.id} {user.role}", **every)
    operator.add(id="one", log="{user.id}", when="user.id == 'user7'", **every)
    operator.reached("all", "installed", 2)
    operator.reached("one", "installed", 2)
    paths = [path for user in USERS for path in (f"/order/{user}", "/anonymous/x")]
    with (
        httpx.Client(base_url=site.url, trust_env=False, timeout=60) as client,
        ThreadPoolExecutor(24) as pool,
    ):
        answers = pool.map(client.get, paths)
        assert {answer.status_code for answer in answers} == {200}
    records = operator.arrived("all", len(paths))
    assert len(records) == len(paths)
    seen = []
    for record in records:
        what, user = record["request"]["path"].strip("/").split("/")
        if what == "anonymous":
            assert "user" not in record
            continue
        assert record["user"] == {"id": user, "role": "buyer"}
        assert record["message"] == f"{user} buyer"
        seen.append(user)
    assert sorted(seen) == sorted(USERS)
    assert operator.messages("one") == ["user7"]
