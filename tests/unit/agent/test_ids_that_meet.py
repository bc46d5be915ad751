"""A server's probe whose id is that of a pack's probe, or of a probe in a file."""

import json
import subprocess
import sys
from pathlib import Path

import remora

SOURCE = str(Path(remora.__file__).parents[1])
PROGRAM = """
import json, sys
sys.path.insert(0, {source!r})
import remora
from remora.agent import agent
from remora.agent.orders import Orders
from remora.protocol import parse_probe

remora.start(probes=[sys.argv[1]], records="/dev/null", log="off")
parts = agent._agent.parts
orders = Orders(parts)
packed = parts.pack_ids()
wanted = [
    parse_probe({{"id": name, "target": "posixpath:join", "log": "x"}})
    for name in ("flask", "mine", "other")
]
orders.apply(wanted, [], 1)
statuses = [(s.probe, s.state.value, s.reason) for s in orders.statuses()]
shown = [(s["probe"], s["state"]) for s in remora.status()["probes"]]
orders.apply([], [], 2)
left = [s.probe for s in orders.statuses()]
print(json.dumps([packed == parts.pack_ids(), statuses, shown, left]))
"""


def test_no_probe_is_left_out_in_silence_because_of_its_id(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[[probe]]\nid = "mine"\ntarget = "os:getcwd"\nlog = "x"\n')
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(source=SOURCE), str(file)],
        capture_output=True,
        timeout=60,
        check=True,
    )
    packs_stay, statuses, shown, left = json.loads(done.stdout)
    assert packs_stay
    states = [(probe, state) for probe, state, _ in statuses]
    assert ("flask", "installed") in states
    assert ("other", "installed") in states
    # to the server an id is its own probe; in the process the file's probe stands
    assert [state for probe, state in states if probe == "mine"] == ["failed"]
    assert ["mine", "installed"] in shown
    assert ["mine", "failed"] in shown
    assert any("choose another id" in reason for _, _, reason in statuses)
    assert left == ["mine"]
