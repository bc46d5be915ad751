"""Apps from PyPI that nobody here wrote, unmodified, probed while they serve."""

import sqlite3
from contextlib import closing

import httpx


def get(url):
    return httpx.get(url, trust_env=False, timeout=30)


def test_pypiserver_under_gunicorn(server, operator, serve_site, tmp_path):
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "demo_thing-1.0.tar.gz").write_bytes(b"archive")
    site = serve_site(
        server.options("pypi"), "pypiserver_wsgi:application", PACKAGES=str(packages)
    )
    operator.connected("pypi", 2)
    before = get(f"{site.url}/simple/demo-thing/")
    # Its views have this function by `from .pkg_helpers import ...`.
    operator.add(
        id="p",
        target="pypiserver.pkg_helpers:normalize_pkgname_for_url",
        phase="post",
        when="request.path == '/simple/demo-thing/'",
        log="{name} is {result}",
        snapshot=["name", "request.method"],
    )
    operator.reached("p", "installed", 2)
    after = get(f"{site.url}/simple/demo-thing/")
    get(f"{site.url}/simple/other/")
    assert (after.status_code, after.text) == (before.status_code, before.text)
    assert after.status_code == 200
    records = operator.arrived("p")
    assert {record["message"] for record in records} <= {
        "demo-thing is demo-thing",
        "demo_thing is demo-thing",
    }
    for record in records:
        request = record["request"]
        assert (request["method"], request["path"]) == ("GET", "/simple/demo-thing/")
        assert request["status"] == 200
        assert record["values"]["request.method"] == "GET"


def test_datasette_under_uvicorn(server, operator, serve_site, tmp_path):
    database = tmp_path / "plants.db"
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("create table trees (name text)")
        connection.execute("insert into trees values ('oak')")
        connection.commit()
    site = serve_site(
        server.options("plants"),
        "datasette_asgi:application",
        workers=1,
        DATABASE=str(database),
    )
    operator.connected("plants")
    query = f"{site.url}/plants.json?sql=select+name+from+trees&_shape=array"
    before = get(query)
    assert before.json() == [{"name": "oak"}]
    # The view hangs in a routing table of closures; validate_sql_select came by from.
    view, check = "datasette.views.database:QueryView.data", "datasette.utils"
    operator.add(id="view", target=view, log="{sql}", phase="post")
    operator.add(id="check", target=f"{check}:validate_sql_select", log="{sql}")
    operator.reached("view", "installed")
    operator.reached("check", "installed")
    after = get(query)
    assert (after.status_code, after.text) == (200, before.text)
    for probe in ("view", "check"):
        (record,) = operator.arrived(probe)
        assert record["message"] == "select name from trees"
        request = record["request"]
        assert (request["method"], request["path"]) == ("GET", "/plants.json")
        assert request["status"] == 200
