"""Without a server: probes from a file, records into a file, from several processes."""

import json

import httpx
import pytest

PROBE = """
[[probe]]
id = "p"
target = "prices:price"
log = "price {number}"
snapshot = ["number", "stack"]
limit = { rate = "100000/s", time = "100%" }
"""
EACH = 500


@pytest.fixture
def files(tmp_path):
    probes, records = tmp_path / "prices.toml", tmp_path / "records.jsonl"
    probes.write_text(PROBE)
    return {"probes": probes, "records": records}


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_workers_write_whole_lines_into_one_file(
    serve_site, remora_options, files, until
):
    site = serve_site(remora_options(app="shop", **files))
    pids = site.pids()
    for pid in pids:
        site.behind(pid, f"[price(number) for number in range({EACH})]")
    records = files["records"]

    def lines():
        return records.read_text().count("\n") if records.exists() else 0

    until(lambda: lines() >= EACH * len(pids), "all records in the file")
    written = read(records)
    assert {record["pid"] for record in written} == set(pids)
    for pid in pids:
        own = [record["values"]["number"] for record in written if record["pid"] == pid]
        assert own == list(range(EACH))
    assert {record["app"] for record in written} == {"shop"}


def test_a_record_in_the_file_has_its_request(serve_site, remora_options, files, until):
    site = serve_site(remora_options(app="shop", **files), workers=1)
    httpx.get(f"{site.url}/order/alice", trust_env=False).raise_for_status()
    records = files["records"]
    until(lambda: records.exists() and records.read_text(), "the record")
    (record,) = read(records)
    assert record["message"] == "price 5"
    assert record["request"]["path"] == "/order/alice"
    assert record["user"] == {"id": "alice", "role": "buyer"}
    assert record["stack"][0]["function"]


def test_what_was_recorded_last_is_in_the_file_when_the_app_has_ended(
    serve_site, remora_options, files
):
    site = serve_site(remora_options(app="shop", **files))
    pids = site.pids()
    site.everywhere(f"[price(number) for number in range({EACH})] and 0")
    status, _ = site.process.stop()
    assert status == 0
    assert len(read(files["records"])) == EACH * len(pids)
    assert site.process.said() == ""
