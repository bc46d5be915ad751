"""Whom an operator blocks is known in every worker of the app, and of no other."""

import httpx
import pytest

HELD = (
    "(late := getattr(__import__('sys').modules.get('remora.agent.request.refused'),"
    " 'refused_actors', None)) is not None and late.hold('user:alice')"
)
"""The agent imports it late, in a thread: it may be there without its names."""


def test_a_block_reaches_every_worker_of_its_app_and_goes_again(
    server, operator, serve_site, until
):
    shop = serve_site(server.options("shop"))
    blog = serve_site(server.options("blog"), workers=1)
    operator.connected("shop", 2)
    operator.connected("blog", 1)
    operator.ask("POST", "/api/v1/blocks", json={"actor": "user:alice", "app": "shop"})
    until(lambda: shop.everywhere(HELD) == {True}, "the block in all workers")
    assert blog.everywhere(HELD) == {False}
    asked = {"actor": "user:alice", "app": "shop"}
    operator.ask("DELETE", "/api/v1/blocks", params=asked)
    until(lambda: shop.everywhere(HELD) == {False}, "the end of the block")


@pytest.mark.parametrize("site", ["vault", "vault_asgi"])
def test_who_is_blocked_gets_a_refusal_and_the_app_is_not_called(
    server, operator, serve_site, until, site
):
    options = server.options("shop", protect="block")
    shop = serve_site(options, f"{site}:application", workers=1)
    operator.connected("shop", 1)
    with httpx.Client(base_url=shop.url, timeout=30, trust_env=False) as client:
        asked = {"params": {"name": "bob"}}
        assert client.get("/sql", **asked).status_code == 200
        operator.ask("POST", "/api/v1/blocks", json={"actor": "127.0.0.0/8"})
        until(lambda: client.get("/sql", **asked).status_code == 403, "the block")
        operator.ask("DELETE", "/api/v1/blocks", params={"actor": "127.0.0.0/8"})
        until(lambda: client.get("/sql", **asked).status_code == 200, "its end")
