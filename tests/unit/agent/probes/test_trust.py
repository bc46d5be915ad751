"""Signatures as an agent sees them: what is trusted, and why the rest is not."""

import sys
import time
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from remora.agent.diagnostics import Diagnostics
from remora.agent.probes.trust import Trust
from remora.cli.signing import public_text, sign_all
from remora.protocol import Instance, parse_probe

KEY = Ed25519PrivateKey.generate()
HERE = Instance(
    id="a" * 32,
    app="shop",
    env="prod",
    version="4.2",
    host="web-1",
    pid=1,
    parent_pid=0,
    started=1,
    python="3.12.1",
    agent="0.1.0",
)
TABLE = {
    "id": "fix",
    "target": "shop.flags:enabled",
    "scope": {"app": "shop", "env": "prod", "share": "100%"},
    "when": "name == 'new' and amount > 0.1",
    "log": "fixed {name}",
    "override": {"return": "False"},
    "limit": {"rate": "7/m", "time": "0.7%", "expires": "90m"},
}


class Bench:
    def __init__(self) -> None:
        self.records: list[dict] = []
        self.trust = Trust([public_text(KEY)], self.put, Diagnostics("off"))

    def put(self, record, size, important) -> bool:
        self.records.append(record[0](*record[1:]))
        return important

    def reason(self, probe) -> str:
        return self.trust.refuse_all([probe], HERE).get(probe.id, "")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def signed(table=TABLE, key=KEY, valid_s=60.0):
    (probe,) = sign_all([parse_probe(table)], key, valid_s)
    return probe


def test_what_was_signed_is_trusted_on_its_way_through_a_server(bench) -> None:
    kept = parse_probe(signed().to_source())
    pushed = replace(kept, expires_at=time.time_ns() + 10**9).to_json()
    assert bench.reason(parse_probe(pushed)) == ""
    assert bench.records == []


def test_an_unsigned_probe_is_refused_and_the_attempt_recorded(bench) -> None:
    assert "is not signed" in bench.reason(parse_probe(TABLE))
    (record,) = bench.records
    assert record["kind"] == "refusal"
    assert record["probe"] == "fix"
    assert "is not signed" in record["message"]


def test_a_key_that_the_app_does_not_have_counts_nothing(bench) -> None:
    other = Ed25519PrivateKey.generate()
    assert "not in this app's" in bench.reason(signed(key=other))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", "other"),
        ("target", "shop.flags:disabled"),
        ("scope", {"app": "shop"}),
        ("when", "name == 'new' and amount > 0.2"),
        ("log", "fixed"),
        ("override", {"return": "True"}),
        ("limit", {"rate": "7/m", "time": "0.7%", "expires": "91m"}),
        ("phase", "post"),
        ("requires", "shop>=1"),
    ],
)
def test_whatever_is_altered_breaks_the_signature(bench, key: str, value) -> None:
    altered = parse_probe({**signed().to_source(), key: value})
    assert "was altered" in bench.reason(altered)


@pytest.mark.parametrize("key", ["sequence", "expires_at"])
def test_number_and_end_are_signed_too(bench, key: str) -> None:
    table = signed().to_source()
    table["signature"][key] += 1
    assert "was altered" in bench.reason(parse_probe(table))


def test_a_tree_that_is_not_that_of_the_signed_text_breaks_the_signature(bench) -> None:
    table = signed().to_json()
    other = parse_probe({**TABLE, "when": "name != 'new'"}).to_json()
    table["when"]["tree"] = other["when"]["tree"]
    assert "was altered" in bench.reason(parse_probe(table))


def test_an_earlier_version_is_refused_and_the_same_one_is_not(bench) -> None:
    first = signed()
    time.sleep(0.000_002)  # numbers are microseconds
    second = signed()
    assert bench.reason(second) == ""
    assert bench.reason(second) == ""
    assert "earlier version" in bench.reason(first)


def test_a_refused_probe_does_not_use_up_numbers(bench) -> None:
    table = signed().to_source()
    table["signature"]["sequence"] = 2**53 - 1
    assert bench.reason(parse_probe(table))
    assert bench.reason(signed()) == ""


def test_an_expired_signature_is_refused(bench) -> None:
    assert "has expired" in bench.reason(signed(valid_s=0.0))


def test_a_probe_for_others_is_refused(bench) -> None:
    assert "signed for others" in bench.reason(
        signed({**TABLE, "scope": {"app": "till"}})
    )


def test_without_the_library_nothing_is_trusted(bench, monkeypatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert "remora[signing]" in bench.reason(signed())


def test_a_key_that_is_no_point_is_a_reason_and_no_exception() -> None:
    key = "ed25519:" + "/" * 42 + "8="
    bench = Bench()
    bench.trust = Trust([key], bench.put, Diagnostics("off"))
    table = signed().to_source()
    table["signature"]["key"] = key
    assert bench.reason(parse_probe(table))
