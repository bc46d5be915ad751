"""Numbers of signed probes, kept over restarts in a file that is not just believed."""

from __future__ import annotations

import json
import os
import stat
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from remora.agent.probes.ledger import NUMBERS_LIMIT, Ledger
from remora.agent.probes.state_file import FILE_BYTES
from remora.agent.probes.trust import Trust
from remora.cli.signing import public_text, sign_all, sign_one_policy
from remora.protocol import Instance, parse_probe
from remora.protocol.policy import parse_policy

KEY = Ed25519PrivateKey.generate()
HERE = Instance("i", "shop", "prod", "1", "web", 1, 0, 0, "3.12", "0")
FIX = {"id": "fix", "target": "m:f", "override": {"return": "0"}}


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "remora.state")


def mode_of(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def write(path: str, data: bytes, mode: int = 0o600) -> None:
    with open(path, "wb") as file:
        file.write(data)
    os.chmod(path, mode)


def accept(ledger: Ledger, name: str, number: int) -> None:
    ledger.accept(name, number)
    ledger.save()


def test_numbers_survive_in_a_file_of_our_own(path, heard) -> None:
    before = os.umask(0)
    try:
        accept(Ledger(path, heard), "p", 7)
    finally:
        os.umask(before)
    assert mode_of(path) == 0o600
    later = Ledger(path, heard)
    assert (later.highest("p"), later.highest("q"), later.complaint) == (7, 0, "")
    accept(later, "p", 5)
    assert Ledger(path, heard).highest("p") == 7


def test_processes_that_share_the_file_lose_nothing_of_each_other(path, heard) -> None:
    one, other = Ledger(path, heard), Ledger(path, heard)
    accept(one, "p", 7)
    accept(other, "q", 8)
    accept(one, "p", 9)
    third = Ledger(path, heard)
    assert [third.highest(name) for name in "pq"] == [9, 8]
    assert os.listdir(os.path.dirname(path)) == ["remora.state"]


def test_without_a_file_numbers_live_in_memory(heard) -> None:
    ledger = Ledger("", heard)
    accept(ledger, "p", 7)
    assert ledger.highest("p") == 7


def test_the_file_stays_small(path, heard) -> None:
    write(path, json.dumps({"state": 1, "numbers": {"old": 1}}).encode())
    ledger = Ledger(path, heard)
    ledger._numbers |= {f"p{n}": n + 2 for n in range(NUMBERS_LIMIT)}
    accept(ledger, "new", 10**6)
    later = Ledger(path, heard)
    assert later.complaint == ""
    assert (later.highest("new"), later.highest("old")) == (10**6, 0)


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"[]", b"{", b"\xff", b"[" * 100_000, b"x" * (FILE_BYTES + 1)),
        b'{"state": 2, "numbers": {}}',
        b'{"state": 1, "numbers": []}',
        b'{"state": 1, "numbers": {"p": -1}}',
        b'{"state": 1, "numbers": {"p": true}}',
        b'{"state": 1, "numbers": {"p": 9007199254740992}}',
        b'{"state": 1, "numbers": {"p": 1.5}}',
        json.dumps({"state": 1, "numbers": {"x" * 101: 1}}).encode(),
        json.dumps({"state": 1, "numbers": dict.fromkeys(map(str, range(1001)), 1)})
        .encode(),
    ],
)  # fmt: skip
def test_a_file_that_says_something_else_is_refused_and_left_as_it_is(
    path, heard, data: bytes
) -> None:
    write(path, data)
    ledger = Ledger(path, heard)
    assert "cannot be trusted" in ledger.complaint
    assert path in heard.lines[0]
    accept(ledger, "p", 7)
    with open(path, "rb") as file:
        assert file.read() == data


@pytest.mark.parametrize("mode", [0o644, 0o620, 0o606, 0o666])
def test_a_file_that_others_may_touch_is_refused(path, heard, mode: int) -> None:
    write(path, b'{"state": 1, "numbers": {}}', mode)
    assert "others may read or write it" in Ledger(path, heard).complaint


def test_a_link_a_pipe_and_a_folder_are_refused_and_nobody_waits(
    path, heard, tmp_path
) -> None:
    write(path, b'{"state": 1, "numbers": {"p": 7}}')
    os.symlink(path, tmp_path / "link")
    os.mkfifo(tmp_path / "pipe", 0o600)
    os.mkdir(tmp_path / "folder", 0o700)
    for name in ("link", "pipe", "folder"):
        assert "cannot be trusted" in Ledger(str(tmp_path / name), heard).complaint


def test_a_file_that_cannot_be_written_is_said_and_memory_holds(
    heard, tmp_path
) -> None:
    ledger = Ledger(str(tmp_path / "no" / "folder"), heard)
    accept(ledger, "p", 7)
    accept(ledger, "p", 8)
    assert ledger.highest("p") == 8
    assert ledger.complaint == ""
    assert "cannot be written" in heard.lines[0]


class Process:
    """A process of an app that trusts the key and keeps its state."""

    def __init__(self, path: str, heard) -> None:
        self.trust = Trust([public_text(KEY)], lambda *_: True, heard, path)

    def reason(self, probe) -> str:
        return self.trust.refuse_all([probe], HERE).get(probe.id, "")


def sign(table=FIX):
    time.sleep(0.000_002)  # numbers are microseconds
    return sign_all([parse_probe(table)], KEY, 60.0)[0]


def test_after_a_restart_an_earlier_probe_is_refused(path, heard) -> None:
    first, second = sign(), sign()
    assert Process(path, heard).reason(second) == ""
    after = Process(path, heard)
    assert "an earlier version" in after.reason(first)
    assert after.reason(second) == ""
    assert Process("", heard).reason(first) == ""


def test_after_a_restart_an_earlier_policy_is_refused(path, heard) -> None:
    def policy(*unsigned):
        time.sleep(0.000_002)  # numbers are microseconds
        table = {"unsigned": [*unsigned], "target": "m:f"}
        return sign_one_policy(parse_policy(table), KEY, 60.0).to_json()

    wide, narrow = policy("return"), policy()
    assert Process(path, heard).trust.accept_policy(narrow, HERE)
    after = Process(path, heard)
    assert not after.trust.accept_policy(wide, HERE)
    assert after.trust.accept_policy(narrow, HERE)


def test_with_a_spoiled_file_nothing_signed_is_trusted_until_it_is_gone(
    path, heard
) -> None:
    write(path, b"spoiled")
    assert "remove the file" in Process(path, heard).reason(sign())
    os.unlink(path)
    assert Process(path, heard).reason(sign()) == ""
    assert mode_of(path) == 0o600
