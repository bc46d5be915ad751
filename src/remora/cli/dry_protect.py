"""Protect probes on records: which attacks and calls they would have found.

An attack that was recorded was found by the same detector, in the process, with all
inputs at hand. Only what the probe adds to the detector, a dialect or allowed hosts, is
asked again. A captured call knows the inputs that its snapshot holds: what breaks out
of these is an attack; that nothing does is told only where no input can be missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from remora.agent.actions.attack import STATEMENT_LIMIT, VALUE_LIMIT
from remora.agent.actions.verdict import ask
from remora.agent.request import RequestContext
from remora.agent.request.sources import gather
from remora.cli.answers import get_object, get_text
from remora.cli.recorded import NotRecordedError, Told
from remora.cli.values import format_value
from remora.detection import Finding, Input, Inputs, NotMade
from remora.expression import Expression, Missing

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.cli.answers import JsonObject
    from remora.cli.recorded import RecordedCall
    from remora.protocol import Probe
    from remora.protocol.protect import Protect

AppValue = Any
Tree = Any

_BODILESS = frozenset(("GET", "HEAD", "OPTIONS"))
"""Methods whose requests have no body, which no record holds."""

_RECORDED = ("query", "headers")
"""What a snapshot can hold of a request and records do not have by themselves."""


def judge_attack(probe: Probe, record: JsonObject) -> Told | None:
    """What a probe would have done about a recorded attack, or None for nothing.

    Raises NotRecordedError where that cannot be told.
    """
    protect = _protect_of(probe)
    detector, reason = get_text(record, "detector"), get_text(record, "not_made")
    if protect.mode == "off":
        return None
    if detector != protect.family:
        raise NotRecordedError(
            f"the attack was found by {detector or 'an unknown detector'}, and the "
            f"probe asks {protect.family}"
        )
    if reason:
        return Told(f"a check not made: {reason}", _deed(protect, "input may be in it"))
    is_asked = protect.family == "sql" or bool(protect.allowed)
    sentence = _ask_again(protect, record) if is_asked else get_text(record, "sentence")
    if not sentence:
        return None
    place = _place(get_text(record, "source"), get_text(record, "parameter"))
    value = format_value(get_text(record, "value"))
    return Told(f"{place} = {value}", _deed(protect, sentence))


def _ask_again(protect: Protect, record: JsonObject) -> str:
    """What the probe's own detector says of the statement; empty for nothing."""
    if protect.detector == "host":
        raise NotRecordedError("the addresses that a host led to are not in records")
    value, statement = get_text(record, "value"), get_text(record, "statement")
    for text, limit in ((value, VALUE_LIMIT), (statement, STATEMENT_LIMIT)):
        if len(text) >= limit or "(redacted" in text:
            raise NotRecordedError("the statement was cut or redacted")
    source, parameter = get_text(record, "source"), get_text(record, "parameter")
    inputs = Inputs([Input(value, source, parameter)])
    verdict, _, _ = ask(protect, statement, None, inputs)
    return verdict.sentence if isinstance(verdict, Finding) else ""


def judge_call(
    probe: Probe, call: RecordedCall, read: Callable[[Tree], AppValue]
) -> Told | None:
    """What a probe would have done about a captured call, or None for nothing.

    `read` evaluates an expression on the call. Raises NotRecordedError.
    """
    protect = _protect_of(probe)
    request = get_object(call.record, "request")
    # outside a request nothing is judged
    if protect.mode == "off" or not request:
        return None
    if probe.phase.value != "pre":
        raise NotRecordedError("what a lookup led to is judged in the process alone")
    value = _argument(protect, read)
    inputs, lacking = _inputs(call, read)
    verdict, _, _ = ask(protect, value, None, inputs)
    if isinstance(verdict, NotMade):
        raise NotRecordedError(verdict.reason)
    if verdict is None:
        # what is in an archive is input by itself
        if lacking and protect.detector != "member":
            raise NotRecordedError(lacking)
        return None
    broken = verdict.input
    place = _place(broken.source, broken.parameter)
    return Told(
        f"{place} = {format_value(broken.text)}", _deed(protect, verdict.sentence)
    )


def _argument(protect: Protect, read: Callable[[Tree], AppValue]) -> AppValue:
    """The judged argument, by the first way that the record knows."""
    doubt = NotRecordedError(
        "records know arguments by name: give protect.argument as one"
    )
    for way in protect.arguments:
        if isinstance(way, int):
            continue
        try:
            value = read(way.tree)
        except NotRecordedError as error:
            doubt = error
            continue
        if not isinstance(value, Missing):
            return value
    raise doubt


def _inputs(call: RecordedCall, read: Callable[[Tree], AppValue]) -> tuple[Inputs, str]:
    """The inputs that were recorded, and the sentence that says which are not."""
    request = get_object(call.record, "request")
    context = RequestContext()
    context.path = get_text(request, "path")
    lacking = ""
    for name in _RECORDED:
        try:
            value = _read_of_request(name, call, read)
        except NotRecordedError:
            lacking = f"request.{name} was not recorded: add it to the snapshot"
            continue
        if isinstance(value, dict) and name == "query":
            context.raw_query = urlencode(value, doseq=True, errors="replace")
        elif isinstance(value, dict):
            context.raw_headers = list(value.items())
    if get_text(request, "method") not in _BODILESS:
        lacking = lacking or "the body of a request is not in records"
    return gather(context), lacking


def _read_of_request(
    name: str, call: RecordedCall, read: Callable[[Tree], AppValue]
) -> AppValue:
    """A part of the request; `request` alone may be a parameter of the call."""
    arguments = get_object(get_object(call.record, "values"), "arguments")
    try:
        return read(Expression.parse(f"remora.request.{name}").tree)
    except NotRecordedError:
        if "request" in arguments:
            raise
        return read(Expression.parse(f"request.{name}").tree)


def _protect_of(probe: Probe) -> Protect:
    assert probe.protect is not None
    return probe.protect


def _place(source: str, parameter: str) -> str:
    return f"{source} {parameter}".strip() or "input"


def _deed(protect: Protect, sentence: str) -> str:
    return f"{'block' if protect.acts else 'report'}: {sentence}"
