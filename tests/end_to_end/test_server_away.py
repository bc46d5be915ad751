"""What apps do while their server is not there, and after."""

import os
import signal
import time

import httpx

PRICE = {"target": "prices:price", "log": "price {number}"}
UNLIMITED = {"rate": "1000000/s", "time": "100%"}
QUEUE_LIMIT = 10_000


def test_records_of_the_gap_arrive_and_the_probe_outlives_the_restart(
    server, operator, serve_site, until
):
    site = serve_site(server.options("shop"), workers=1)
    (before,) = operator.connected("shop")
    (pid,) = site.pids()
    operator.add(id="p", **PRICE)
    operator.reached("p", "installed")
    site.behind(pid, "price(0)")
    operator.arrived("p")
    assert server.stop()[0] == 0
    site.behind(pid, "[price(number) for number in range(1, 51)]")
    server.start()
    operator.arrived("p", 51)
    expected = [f"price {number}" for number in range(51)]
    assert operator.messages("p") == expected
    (after,) = operator.connected("shop")
    assert (after["id"], after["pid"]) == (before["id"], pid)
    operator.add(id="q", **PRICE)
    operator.reached("q", "installed")
    operator.reached("p", "installed")
    assert after["drops"] == {}


def test_what_the_queue_cannot_hold_is_counted_and_shown(
    server, operator, serve_site, until, remora_command
):
    site = serve_site(server.options("shop"), workers=1)
    operator.connected("shop")
    (pid,) = site.pids()
    operator.add(id="p", limit=UNLIMITED, **PRICE)
    operator.reached("p", "installed")
    server.stop()
    fired = 3 * QUEUE_LIMIT
    site.behind(pid, f"sum(price(number) for number in range({fired}))")
    server.start()

    def all_accounted():
        (instance,) = operator.instances(app="shop", state="connected") or [{}]
        if not instance:
            return None
        counted = operator.ask("GET", "/api/v1/probes/p")["records"]
        (status,) = operator.statuses("p").values()
        dropped = sum(instance["drops"].values())
        held_back = status["suppressed"]
        return instance if counted + dropped + held_back == fired else None

    instance = until(all_accounted, "each firing to be a record or a drop")
    assert instance["drops"]["queue-full"] > QUEUE_LIMIT / 2
    shown = remora_command(
        "ps", REMORA_SERVER=server.url, REMORA_TOKEN=server.token("operator")
    )
    assert f"{instance['drops']['queue-full']} queue-full" in shown.stdout
    assert "records are dropped (queue-full)" in site.process.said()


def test_an_app_without_its_server_serves_and_connects_later(
    server, operator, serve_site
):
    server.stop()
    site = serve_site(server.options("shop"), workers=1)
    answer = httpx.get(f"{site.url}/price/4", trust_env=False)
    assert answer.json() == 8
    server.start()
    operator.connected("shop", 1)
    operator.add(id="p", **PRICE)
    operator.reached("p", "installed")


def test_a_server_that_stands_still_holds_no_request_up(server, operator, serve_site):
    site = serve_site(server.options("shop"), workers=1)
    operator.connected("shop")
    operator.add(id="p", limit=UNLIMITED, **PRICE)
    operator.reached("p", "installed")
    os.kill(server.process.pid, signal.SIGSTOP)
    try:
        slowest_s = 0.0
        with httpx.Client(base_url=site.url, trust_env=False) as client:
            for number in range(300):
                began = time.monotonic()
                assert client.get(f"/price/{number}").json() == 2 * number
                slowest_s = max(slowest_s, time.monotonic() - began)
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
    assert slowest_s < 1
    records = operator.arrived("p", 300)
    assert [each["message"] for each in records] == [f"price {n}" for n in range(300)]
