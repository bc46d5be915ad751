"""sqlmap, unmodified, against the shop with one weak page: bare, and protected."""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

SQLMAP = Path(sys.executable).with_name("sqlmap")
SITE = "weak_shop:application"
PAGE = "weak?below=1000"
HONEST = (PAGE, "", "product/1", "?q=lantern", "?q=a+lantern+or+two")
LIMIT_S = 100


@pytest.fixture
def attack(tmp_path):
    """Runs sqlmap against the weak page; gives what it says."""

    def attack(url):
        command = [SQLMAP, "-u", f"{url}/{PAGE}", "--batch", "--flush-session"]
        command += ["--output-dir", tmp_path / "sqlmap", "--dbms", "sqlite", "--tables"]
        command += ["--technique", "BEU", "--level", "2", "--time-limit", str(LIMIT_S)]
        done = subprocess.run(
            [*command, "--disable-coloring"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S + 15,
            check=False,
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        )
        return done.stdout

    return attack


def pages(url):
    """What honest visitors get; the receipts of a shop at rest do not change."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        return [(a.status_code, a.text) for a in map(client.get, HONEST)]


def test_sqlmap_gets_the_tables_bare_and_nothing_under_protection(
    serve_site, remora_options, attack, tmp_path
):
    data = {"SHOP_DATA": str(tmp_path / "shop")}
    bare = serve_site((), SITE, bare=True, **data)
    said = attack(bare.url)
    assert "Parameter: below (GET)" in said, said
    assert "| account" in said, said
    before = pages(bare.url)
    assert [status for status, _ in before] == [200] * len(HONEST)

    records = tmp_path / "records.jsonl"
    options = remora_options(protect="block", records=records)
    guarded = serve_site(options, SITE, **data)
    said = attack(guarded.url)
    assert "all tested parameters do not appear to be injectable" in said, said
    assert "| account" not in said, said
    assert pages(guarded.url) == before
    assert '"detector":"sql"' in records.read_text()
