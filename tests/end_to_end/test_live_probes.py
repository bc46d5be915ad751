"""The main job: a probe comes and goes in idle workers, and only where it is meant."""

import os
import signal
import time

import httpx
import pytest

PRICE = {"target": "prices:price", "log": "price {number}"}
IS_ORIGINAL = "price.__code__ is ORIGINAL"


@pytest.mark.parametrize("app", ["shopfront", "shopfront_asgi"])
def test_a_probe_fires_in_idle_workers_and_is_gone_each_within_a_second(
    server, operator, serve_site, app
):
    site = serve_site(server.options("shop"), f"{app}:application")
    pids = {each["pid"] for each in operator.connected("shop", 2)}
    assert pids == set(site.pids())
    assert site.everywhere(IS_ORIGINAL) == {True}

    asked = time.time()
    operator.add(id="p", **PRICE)
    while site.everywhere(IS_ORIGINAL) != {False}:
        assert time.time() - asked < 1
    for pid in site.pids():
        assert site.behind(pid, "price(21)") == 42
    records = operator.arrived("p", 2)
    assert [record["message"] for record in records] == ["price 21", "price 21"]
    assert all(0 < record["time"] / 1e9 - asked < 1 for record in records)
    assert len({record["instance"] for record in records}) == 2

    asked = time.time()
    operator.remove("p")
    while site.everywhere(IS_ORIGINAL) != {True}:
        assert time.time() - asked < 1
    assert site.everywhere("price(21)") == {42}


def test_workers_report_under_their_own_pids_and_the_master_is_idle(
    server, operator, serve_site
):
    site = serve_site(server.options("shop"))
    workers = operator.connected("shop", 2)
    assert {each["pid"] for each in workers} == set(site.pids())
    (master,) = operator.instances(app="shop", state="idle")
    assert master["pid"] == site.process.pid
    assert {each["master_id"] for each in workers} == {master["id"]}
    assert "its workers are served" in master["note"]


def test_a_probe_never_reaches_an_instance_outside_its_scope(
    server, operator, serve_site
):
    shop = serve_site(server.options("shop", env="prod", version="4.2"))
    blog = serve_site(server.options("blog", env="test", version="3.9"), workers=1)
    instances = operator.connected("shop", 2) + operator.connected("blog", 1)
    (reader,) = operator.connected("blog", 1)
    scopes = {
        "app": {"app": "blog"},
        "env": {"env": "test"},
        "version": {"version": "<4"},
        "instance": {"instance": reader["id"]},
        "host": {"host": "another-*"},
        "nobody": {"share": "0.0000001%"},
        "all": {"host": "*", "version": ">=3", "share": "100%"},
    }
    for name, scope in scopes.items():
        operator.add(id=name, scope=scope, **PRICE)
    everyone = {each["pid"] for each in instances}
    operator.reached("all", "installed", 3)
    only_blog = set(blog.pids())
    shop.everywhere("price(1)"), blog.everywhere("price(2)")
    assert len(operator.arrived("all", 3)) == 3
    for name in scopes:
        meant = {"all": everyone, "host": set(), "nobody": set()}.get(name, only_blog)
        assert set(operator.statuses(name)) == meant, name
    for name in ("app", "env", "version", "instance"):
        assert operator.messages(name) == ["price 2"], name
    assert operator.records("host") == operator.records("nobody") == []


def test_a_share_of_the_instances_is_the_same_on_both_sides(
    server, operator, serve_site
):
    site = serve_site(server.options("shop"), workers=4)
    operator.connected("shop", 4)
    matched = operator.add(id="half", scope={"share": "50%"}, **PRICE)["instances"]
    operator.add(id="all", target="prices:discount", log="x")
    operator.reached("all", "installed", 4)
    diverted = [not site.behind(pid, IS_ORIGINAL) for pid in site.pids()]
    assert sum(diverted) == matched == len(operator.statuses("half"))


def test_a_record_knows_its_request(server, operator, serve_site):
    site = serve_site(server.options("shop"), workers=1)
    operator.connected("shop", 1)
    operator.add(id="p", when="request.path == '/price/7'", **PRICE)
    operator.reached("p", "installed")
    for number in (6, 7):
        httpx.get(f"{site.url}/price/{number}", trust_env=False).raise_for_status()
    (record,) = operator.arrived("p")
    assert record["message"] == "price 7"
    assert record["request"]["method"] == "GET"
    assert record["request"]["path"] == "/price/7"
    assert len(operator.records("p")) == 1


def test_a_worker_that_takes_the_place_of_another_gets_its_probes(
    server, operator, serve_site, until
):
    site = serve_site(server.options("shop"))
    first = {each["pid"] for each in operator.connected("shop", 2)}
    operator.add(id="p", **PRICE)
    operator.reached("p", "installed", 2)
    lost = min(first)
    os.kill(lost, signal.SIGKILL)
    (new,) = until(lambda: set(site.pids()) - first, "another worker")
    until(lambda: not site.behind(new, IS_ORIGINAL), "its probe")
    site.behind(new, "price(3)")
    (record,) = operator.arrived("p")
    instances = {each["id"]: each["pid"] for each in operator.instances(app="shop")}
    assert instances[record["instance"]] == new


@pytest.mark.parametrize("sent", [signal.SIGHUP, signal.SIGUSR2])
def test_the_workers_of_a_renewed_gunicorn_get_its_probes(
    server, operator, serve_site, until, sent
):
    site = serve_site(server.options("shop"))
    first = {each["pid"] for each in operator.connected("shop", 2)}
    operator.add(id="p", **PRICE)
    operator.reached("p", "installed", 2)
    os.kill(site.process.pid, sent)
    new = until(lambda: _two(set(site.pids()) - first), "two new workers")
    for pid in new:
        until(lambda pid=pid: not site.behind(pid, IS_ORIGINAL), "its probe")
    # SIGUSR2 makes a second master beside the first: neither is served.
    serving = first | new if sent == signal.SIGUSR2 else new

    def connected():
        found = operator.instances(app="shop", state="connected")
        return {each["pid"] for each in found} == serving

    until(connected, "just the workers to be connected")


def _two(pids):
    return pids if len(pids) == 2 else None


def test_workers_of_a_preloaded_app_are_reached_one_by_one(
    server, operator, serve_site, until
):
    site = serve_site(server.options("shop"), "shopfront:application", "--preload")
    workers = {each["pid"] for each in operator.connected("shop", 2)}
    assert workers == set(site.pids())
    operator.add(id="p", **PRICE)
    operator.reached("p", "installed", 2)
    assert site.everywhere(IS_ORIGINAL) == {False}
    site.everywhere("price(5)")
    records = operator.arrived("p", 2)
    assert len({record["instance"] for record in records}) == 2
    operator.remove("p")
    until(lambda: site.everywhere(IS_ORIGINAL) == {True}, "the original code")


def test_a_probe_of_a_file_fires_before_any_server_is_asked(
    operator, server, serve_site, tmp_path
):
    probes = tmp_path / "prices.toml"
    probes.write_text(
        '[[probe]]\nid = "p"\ntarget = "prices:price"\nlog = "price {number}"\n'
    )
    options = server.options("shop", probes=probes)
    server.stop()
    site = serve_site(options, workers=1)
    site.everywhere("price(1)")
    server.start()
    assert operator.arrived("p")[0]["message"] == "price 1"
