"""Whom requests are refused to."""

import asyncio

import pytest

from remora.agent.actions import AsgiEdgeSteps
from remora.agent.hooks import Return
from remora.agent.request import (
    RequestContext,
    edge,
    protection,
    serve_request,
    set_user,
)
from remora.agent.request.refused import RefusedActors


@pytest.fixture
def refused():
    return RefusedActors()


def test_without_a_list_nobody_is_refused(refused):
    assert not refused
    assert not refused.hold("address:192.0.2.7")


def test_users_addresses_and_networks_are_refused(refused):
    refused.replace(["user:a", "address:192.0.2.7", "network:2001:db8::/32"])
    assert refused
    held = ["user:a", "address:192.0.2.7", "address:2001:db8::1"]
    assert all(map(refused.hold, held))
    assert not any(map(refused.hold, ["user:b", "address:192.0.2.8", "unknown", ""]))


def test_an_address_of_ipv4_that_came_over_ipv6_is_the_same(refused):
    refused.replace(["address:192.0.2.7", "network:198.51.100.0/24"])
    assert refused.hold("address:::ffff:192.0.2.7")
    assert refused.hold("address:::ffff:198.51.100.9")


def test_the_next_list_holds_alone(refused):
    refused.replace(["user:a"])
    refused.replace(["user:b"])
    assert not refused.hold("user:a")
    refused.clear()
    assert not refused


@pytest.mark.parametrize("actor", ["network:", "network:x/99", "network:10.0.0.1/8"])
def test_a_network_that_cannot_be_read_refuses_nobody(refused, actor):
    refused.replace([actor])
    assert not refused
    assert not refused.hold("address:10.0.0.1")


@pytest.mark.parametrize("actor", ["address:", "address:x", "address:" + "9" * 5000])
def test_an_address_that_cannot_be_read_is_passed(refused, actor):
    refused.replace(["network:10.0.0.0/8"])
    assert not refused.hold(actor)


@pytest.fixture
def listed(refused, monkeypatch):
    """A process that blocks, and knows whom."""
    monkeypatch.setattr(protection, "listed", refused)
    monkeypatch.setattr(protection, "blocks", True)
    monkeypatch.setattr(protection, "edge", edge)
    refused.replace(["user:alice", "network:192.0.2.0/24"])
    yield refused
    serve_request(None)


def request_of(client):
    context = RequestContext()
    context.client = client
    serve_request(context)
    return context


def test_a_request_from_a_blocked_address_is_condemned(listed):
    assert edge.meet_list(request_of("192.0.2.7"))
    assert not edge.meet_list(request_of("198.51.100.7"))
    assert not edge.meet_list(request_of(None))


def test_a_request_is_condemned_as_soon_as_its_user_is_known(listed):
    context = request_of("198.51.100.7")
    set_user("bob", {})
    assert not context.condemned
    set_user("alice", {})
    assert context.condemned


def test_where_nothing_blocks_nobody_is_condemned(listed, monkeypatch):
    monkeypatch.setattr(protection, "blocks", False)
    assert not edge.meet_list(request_of("192.0.2.7"))


def test_a_blocked_client_that_has_left_gets_no_call_of_the_app_either(
    listed, monkeypatch
):
    async def send(message):
        raise OSError("the client has left")

    async def receive():
        return {"type": "http.disconnect"}

    monkeypatch.setattr(protection, "watches", True)
    request_of("192.0.2.7").source = {"type": "http", "method": "POST", "path": "/"}
    steps = AsgiEdgeSteps(None)
    assert isinstance(asyncio.run(steps.enter(None, receive, send)), Return)
