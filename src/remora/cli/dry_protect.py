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
from remora.agent.request import RequestContext, inputs_of
from remora.cli.answers import get_number, get_object, get_text
from remora.cli.recorded import NotRecordedError, Told
from remora.cli.values import format_value
from remora.detection import Finding, Input, Inputs, NotMade
from remora.expression import Expression, Missing
from remora.protocol import Phase

if TYPE_CHECKING:
    from collections.abc import Callable

    from remora.cli.answers import JsonObject
    from remora.cli.recorded import RecordedCall
    from remora.protocol import Probe
    from remora.protocol.protect import Protect

AppValue = Any
Tree = Any

_DEPTH_LIMIT = 10
"""What socket answers has three."""

_BODILESS = frozenset(("GET", "HEAD", "OPTIONS"))
"""Methods whose requests have no body, which no record holds."""

_BY_REQUEST = frozenset(("entry", "resolved", "redirect"))
"""Detectors that take note for the rest of a request, or ask what was noted."""

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
    if protect.detector in {"host", "redirect"}:
        raise NotRecordedError("where a host led to is not in records")
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
    value = _argument(protect, call, read)
    inputs, lacking = _inputs(call, read)
    result: list[str] = []
    if probe.phase is Phase.POST:
        result, cut = _texts_of_result(call)
        lacking = lacking or cut
    verdict, _, _ = ask(protect, value, result, inputs)
    if isinstance(verdict, NotMade):
        raise NotRecordedError(verdict.reason)
    if verdict is None:
        if protect.detector in _BY_REQUEST:
            raise NotRecordedError("what a request has made of input is not in records")
        # what is in an archive is input by itself
        if lacking and protect.detector != "member":
            raise NotRecordedError(lacking)
        return None
    broken = verdict.input
    place = _place(broken.source, broken.parameter)
    return Told(
        f"{place} = {format_value(broken.text)}", _deed(protect, verdict.sentence)
    )


def _argument(
    protect: Protect, call: RecordedCall, read: Callable[[Tree], AppValue]
) -> AppValue:
    """The judged argument, by the first way that the record knows."""
    doubt = NotRecordedError("protect.argument names nothing")
    for way in protect.arguments:
        try:
            value = read(call.at(way) if isinstance(way, int) else way.tree)
        except NotRecordedError as error:
            doubt = error
            continue
        if not isinstance(value, Missing):
            return value
    raise doubt


def _texts_of_result(call: RecordedCall) -> tuple[list[str], str]:
    """The addresses that a lookup gave, among other texts; and why not all are there.

    Read as it was recorded: what socket answers has enumerations, which are no values.
    """
    own = get_object(get_object(call.record, "values"), "arguments")
    name = "remora.result" if "result" in own else "result"
    try:
        found = call.read(Expression.parse(name).tree)
    except NotRecordedError:
        raise NotRecordedError(
            f"what the lookup led to was not recorded: add {name} to the snapshot"
        ) from None
    texts: list[str] = []
    is_whole = _gather(found, texts, 0)
    return texts, "" if is_whole else "what the lookup led to was recorded in part"


def _gather(form: object, texts: list[str], depth: int) -> bool:
    """Collect the texts of a recorded value; whether all of it was recorded."""
    if isinstance(form, str):
        texts.append(form)
        return True
    if isinstance(form, dict) and "items" in form:
        items = form["items"]
        is_whole = "cut" not in form and get_number(form, "length") <= len(items)
    elif isinstance(form, list):
        items, is_whole = form, True
    else:
        return not isinstance(form, dict) or form.get("$") == "enum"
    if depth > _DEPTH_LIMIT:
        return False
    return all([is_whole, *(_gather(each, texts, depth + 1) for each in items)])


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
    return inputs_of(context), lacking


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
