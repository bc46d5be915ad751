"""Which sentence is said for which rule of the kernel."""

import pytest

from remora.boot.attach.process import Process, check_process
from remora.boot.attach.refusals import Rights, explain_refusal
from remora.errors import AttachError

APP = {
    "pid": 4711,
    "parent": 1,
    "name": "app",
    "state": "S",
    "owner": 1000,
    "files_owner": 1000,
    "tracer": 0,
    "has_program": True,
    "command": ("python", "app.py"),
}
ME = {"user": 1000, "can_trace": False, "yama_scope": 0}


@pytest.mark.parametrize(
    ("process", "rights", "sentence"),
    [
        ({"tracer": 7}, {"tracer_name": "gdb"}, "process 7 (gdb) traces it already"),
        ({"owner": 33}, {}, "it runs as user 33 and this command as user 1000"),
        ({"files_owner": 0}, {}, "has made itself untraceable"),
        ({}, {"yama_scope": 1}, "ptrace_scope is 1: run this command as root"),
        ({}, {"yama_scope": 2}, "ptrace_scope is 2, which wants CAP_SYS_PTRACE"),
        ({}, {"yama_scope": 3, "can_trace": True}, "forbids it to everybody"),
        ({}, {"user": 0}, "this container lacks the capability SYS_PTRACE"),
        ({}, {"user": 0, "can_trace": True}, "a security policy"),
        ({}, {}, "lacks the capability SYS_PTRACE or a right"),
    ],
)
def test_each_rule_has_its_sentence_and_a_remedy(process, rights, sentence):
    told = explain_refusal(Process(**{**APP, **process}), Rights(**{**ME, **rights}))
    assert told.startswith("the kernel refused to trace process 4711")
    assert sentence in told
    assert any(word in told for word in ("run", "start", "end that"))


@pytest.mark.parametrize(
    ("process", "sentence"),
    [
        ({"state": "Z"}, "has ended and waits only for its parent"),
        ({"has_program": False}, "is a thread of the kernel"),
    ],
)
def test_what_can_have_no_agent_is_refused(process, sentence):
    with pytest.raises(AttachError, match=sentence):
        check_process(Process(**{**APP, **process}))
