"""Without a server: probes from a file, records into a file, from several processes."""

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


def test_workers_write_whole_lines_into_one_file(
    serve_site, remora_options, files, records_in, until
):
    site = serve_site(remora_options(app="shop", **files))
    pids = site.pids()
    for pid in pids:
        site.behind(pid, f"[price(number) for number in range({EACH})]")
    records = files["records"]
    count = EACH * len(pids)
    until(lambda: len(records_in(records)) >= count, "all records in the file")
    written = records_in(records)
    assert {record["pid"] for record in written} == set(pids)
    for pid in pids:
        own = [record["values"]["number"] for record in written if record["pid"] == pid]
        assert own == list(range(EACH))
    assert {record["app"] for record in written} == {"shop"}


def test_a_record_in_the_file_has_its_request(
    serve_site, remora_options, files, records_in, until
):
    site = serve_site(remora_options(app="shop", **files), workers=1)
    httpx.get(f"{site.url}/order/alice", trust_env=False).raise_for_status()
    records = files["records"]
    (record,) = until(lambda: records_in(records), "the record")
    assert record["message"] == "price 5"
    assert record["request"]["path"] == "/order/alice"
    assert record["user"] == {"id": "alice", "role": "buyer"}
    assert record["stack"][0]["function"]


def test_what_was_recorded_last_is_in_the_file_when_the_app_has_ended(
    serve_site, remora_options, files, records_in
):
    site = serve_site(remora_options(app="shop", **files))
    pids = site.pids()
    site.everywhere(f"[price(number) for number in range({EACH})] and 0")
    status, _ = site.process.stop()
    assert status == 0
    assert len(records_in(files["records"])) == EACH * len(pids)
    assert site.process.said() == ""
