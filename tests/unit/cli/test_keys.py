"""Keys and signed files, from the command line."""

from __future__ import annotations

import json
import stat
import sys
import tomllib
from pathlib import Path

import pytest

from remora.__main__ import main
from remora.agent.control import read_probe_file
from remora.protocol import parse_probe
from remora.protocol.policy import parse_policy

PROBES = """
[[probe]]
id = "fix"
target = "shop.flags:enabled"
log = 'a "quoted" \\ line é😀 {name}'
override = { arguments = { "größe" = "'\\u007f'", n = "1.5" } }
limit = { hits = 3, expires = "2h" }

[[probe]]
target = ["a:*", "!a:b"]
count = true
snapshot = ["stack"]
"""


@pytest.fixture
def key(tmp_path: Path, capsys) -> tuple[str, str]:
    """The file of a new key, and its public text."""
    path = tmp_path / "keys" / "signing.pem"
    assert main(["key", "new", "--out", str(path)]) == 0
    return str(path), capsys.readouterr().out.strip()


def test_a_new_key_is_the_owner_s_alone_and_its_public_text_is_printed(
    key, capsys
) -> None:
    path, public = key
    assert stat.S_IMODE(Path(path).stat().st_mode) == 0o600
    assert main(["key", "show", "--key", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": path, "public_key": public}


def test_a_key_is_never_written_over(key, capsys) -> None:
    path, _ = key
    before = Path(path).read_bytes()
    assert main(["key", "new", "--out", path]) == 1
    assert "there is a file" in capsys.readouterr().err
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize("content", [None, b"", b"\xff\x00", b"-----BEGIN nothing"])
def test_a_file_that_holds_no_key_is_one_clear_error(
    tmp_path: Path, capsys, content: bytes | None
) -> None:
    path = tmp_path / "no.pem"
    if content is not None:
        path.write_bytes(content)
    assert main(["key", "show", "--key", str(path)]) == 1
    error = capsys.readouterr().err
    assert str(path) in error
    assert "remora key new" in error


def test_a_signed_file_is_a_probe_file_with_the_same_probes(
    key, tmp_path: Path, capsys
) -> None:
    source = tmp_path / "p.toml"
    source.write_text(PROBES)
    assert main(["probe", "sign", str(source), "--key", key[0]]) == 0
    signed = tmp_path / "signed.toml"
    signed.write_text(capsys.readouterr().out)
    before, after = read_probe_file(str(source)), read_probe_file(str(signed))
    for plain, whole in zip(before, after, strict=True):
        table = whole.to_source()
        assert table.pop("signature")["key"] == key[1]
        assert parse_probe(table) == plain


def test_a_signature_holds_as_long_as_asked(key, tmp_path: Path, capsys) -> None:
    source = tmp_path / "p.toml"
    source.write_text(PROBES)
    words = ["probe", "sign", str(source), "--key", key[0], "--json"]
    ends = []
    for more in (["--valid", "2h"], []):
        assert main([*words, *more]) == 0
        answer = json.loads(capsys.readouterr().out)
        ends.append([p["signature"]["expires_at"] for p in answer["probes"]])
    asked, own = ends
    hour = 3600 * 10**9
    assert abs(asked[0] - asked[1]) < hour / 60
    assert abs(own[0] - own[1] - hour) < hour / 60
    assert main([*words, "--valid", "soon"]) == 1
    assert "--valid" in capsys.readouterr().err


POLICY = """
unsigned = ["raise"]
target = ["shop.identity:*"]
scope = { app = "shop" }
"""


def test_a_signed_policy_is_a_policy_file_again(key, tmp_path: Path, capsys) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    words = ["key", "policy", str(path), "--key", key[0], "--valid", "2h"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    signed = parse_policy(tomllib.loads(printed))
    assert signed.signature is not None
    assert signed.signature.key == key[1]
    plain = parse_policy(tomllib.loads(POLICY)).to_json()
    assert signed.to_json() | {"signature": None} == plain | {"signature": None}
    # what is signed stays as it is
    path.write_text(printed)
    assert main(words) == 0
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize("text", ["unsigned = [", 'unsigned = ["all"]', "\udcff", None])
def test_a_policy_that_cannot_be_read_is_one_clear_error(
    key, tmp_path: Path, capsys, text: str | None
) -> None:
    path = tmp_path / "policy.toml"
    if text is not None:
        path.write_text(text, errors="surrogateescape")
    assert main(["key", "policy", str(path), "--key", key[0]]) == 1
    assert "policy" in capsys.readouterr().err


def test_without_the_library_the_command_names_the_extra(monkeypatch, capsys) -> None:
    for name in ("remora.cli.keys", "remora.cli.signing"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    assert main(["key", "show"]) == 1
    assert "remora[signing]" in capsys.readouterr().err
