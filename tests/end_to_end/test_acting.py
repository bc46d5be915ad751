"""Probes that change the run, from the command line to a process that dies of one."""

import signal

SOURCE = """
def enabled(name):
    return name

def serve(number):
    return enabled(number)
"""


def test_an_override_acts_where_it_may_and_does_not_outlive_a_death(
    server, operator, start_child, remora_command
):
    options = server.options("shop", allow="act")
    child = start_child(options, SOURCE)
    careful = start_child(server.options("shop"), SOURCE)
    operator.connected("shop", 2)
    added = remora_command(
        *("probe", "add", "__main__:enabled", "--server", server.url),
        *("--id", "fix", "--return", "'fixed'", "--when", "name > 1"),
        REMORA_TOKEN_FILE=str(server.token_file("operator")),
    )
    assert "REMORA_ALLOW is 'protect' here" in added.stdout, added.stderr
    operator.reached("fix", "installed")
    assert child.ask("serve(2)") == "fixed"
    assert child.ask("serve(1)") == 1
    assert careful.ask("serve(2)") == 2
    (record,) = operator.arrived("fix")
    assert record["override"] == {"kind": "return", "value": "fixed", "mode": "act"}

    child.process.stop(signal.SIGKILL)
    again = start_child(options, SOURCE)
    statuses = operator.reached("fix", "failed", 2)
    (reason,) = [
        each["reason"] for each in statuses.values() if "goodbye" in each["reason"]
    ]
    assert f"process {child.process.popen.pid} on" in reason
    assert again.ask("serve(2)") == 2

    probe = operator.ask("GET", "/api/v1/probes/fix")["probe"]
    operator.ask("PUT", "/api/v1/probes/fix", json={"probe": probe})
    operator.reached("fix", "installed")
    assert again.ask("serve(2)") == "fixed"


def test_probes_of_one_request_work_together(server, operator, start_child):
    child = start_child(server.options("shop"), SOURCE)
    operator.connected("shop")
    operator.add(id="outer", target="__main__:serve", span={"name": "serve {number}"})
    operator.add(id="inner", target="__main__:enabled", span=True)
    operator.add(id="begun", target="__main__:serve", set={"began": "now_ms"})
    operator.add(
        id="measured",
        target="__main__:enabled",
        phase="post",
        count={
            "by": ["stack"],
            "histogram": "now_ms - state.began",
            "average": "name",
            "top": 3,
            "every": "1s",
        },
    )
    for probe in ("outer", "inner", "begun", "measured"):
        operator.reached(probe, "installed")
    assert child.ask("serve(4)") == 4
    (outer,) = operator.arrived("outer")
    (inner,) = operator.arrived("inner")
    assert outer["name"] == "serve 4"
    assert (inner["trace"], inner["parent"]) == (outer["trace"], outer["span"])
    (row,) = operator.arrived("measured")[0]["rows"]
    assert row["count"] == 1
    assert row["average"] == {"sum": 4, "count": 1}
    assert row["key"][0][0].startswith("serve (")
    assert sum(row["histogram"]["buckets"].values()) == 1
