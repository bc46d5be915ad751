"""Asking a detector: from the value of an argument to what is against it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from remora.agent.actions.sink_values import (
    addresses_of,
    host_of,
    port_of,
    says_nothing,
    text_of,
    texts_of,
)
from remora.agent.request import Outgoing, current_request
from remora.detection import Finding, Input, Inputs, NotMade, path, shell, sql, url
from remora.expression import read_attribute

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from remora.agent.interception import AppValue
    from remora.detection import Verdict
    from remora.protocol.protect import Protect

    Answer = tuple[Verdict, str, str]
    """The verdict, the text that it is about, and the whole argument as a text."""

    Ask = Callable[[Protect, AppValue, AppValue, Inputs], Answer]

_LED_LIMIT = 50
"""Redirects of one request that are followed here: clients follow 5 to 30 a call."""

_NAMES_LIMIT = 200
"""Resolved paths and names of members that are kept for one request."""

_MEMBER = ("name", "linkname", "type", "offset")
_LINK, _SYMBOLIC_LINK, _FOLDER = b"1", b"2", b"5"
"""Kinds of members (`tarfile.LNKTYPE` and so on)."""

UNREADABLE = "the argument cannot be read without running the app's code"
_NOTHING: Answer = (None, "", "")


WORDS_IN: dict[str, Callable[[str], Iterable[str]]] = {
    "sql": sql.words_in,
    "path": path.words_in,
    "resolved": path.words_in,
}
"""What words of an argument matter to a detector; to the others all of them do."""


def ask(protect: Protect, value: AppValue, result: AppValue, inputs: Inputs) -> Answer:
    """The verdict on an argument.

    `result` is what the call gave, where it is judged after the call.
    """
    if says_nothing(value):
        return _NOTHING
    judge = _ASK[protect.detector]
    answer = judge(protect, value, result, inputs)
    found = answer[0]
    if isinstance(found, Finding) and found.input.form:
        own = judge(protect, value, result, _as_they_came(found, inputs))
        if isinstance(own[0], Finding):
            return own
    return answer


def _as_they_came(finding: Finding, inputs: Inputs) -> Inputs:
    """What the same parameter held, without its forms.

    With its quotes doubled, an input also stands where it follows a quote of the app;
    what is told is the input as it was sent.
    """
    wanted = (finding.input.source, finding.input.parameter)
    return Inputs(
        each
        for each in inputs
        if not each.form and (each.source, each.parameter) == wanted
    )


def _ask_sql(
    protect: Protect, value: AppValue, result: AppValue, inputs: Inputs
) -> Answer:
    del result
    text = text_of(value)
    if text is None:
        return _unreadable()
    return sql.judge(text, inputs, protect.dialect), text, text


def _ask_shell(
    protect: Protect, value: AppValue, result: AppValue, inputs: Inputs
) -> Answer:
    del protect, result
    texts = texts_of(value)
    if texts is not None:
        verdict = shell.judge_arguments(texts, inputs)
        # No argument can hold the separator, so no text is mistaken for a list.
        return verdict, _argument_of(verdict, texts), "\0".join(["", *texts])
    text = text_of(value)
    if text is None:
        return _unreadable()
    return shell.judge(text, inputs), text, text


def _argument_of(verdict: Verdict, texts: list[str]) -> str:
    """The one argument of a command that a finding speaks of."""
    if not isinstance(verdict, Finding):
        return " ".join(texts)
    spoken = verdict.input.text
    for text in texts:
        if text[verdict.start : verdict.end] == spoken:
            return text
    return spoken


def _ask_path(
    protect: Protect, value: AppValue, result: AppValue, inputs: Inputs
) -> Answer:
    del protect, result
    text = text_of(value)
    if text is None:
        return _unreadable()
    verdict = _judge_path(text, inputs)
    request = current_request()
    if verdict is None and request is not None and request.names:
        below = [e for e in request.names if _is_named(text, e)]
        verdict = _judge_path(text, Inputs(below))
    return verdict, text, text


def _judge_path(text: str, inputs: Inputs) -> Verdict:
    verdict = path.judge(text, inputs)
    if isinstance(verdict, Finding) and verdict.end < len(text):
        folders = _own_folders()
        if verdict.input.text.rstrip("/") in folders:
            others = Inputs(e for e in inputs if e.text.rstrip("/") not in folders)
            others.cut = inputs.cut
            verdict = path.judge(text, others)
    return verdict


def _is_named(text: str, name: Input) -> bool:
    """Whether a path is what was resolved or below it, or may hold an archive's name.

    Below a folder that is above the app's own is what the app has there as well.
    """
    if not name.form or text == name.text:
        return True
    return name.form == "resolved" and text.startswith(name.text + "/")


def _ask_resolved(
    protect: Protect, value: AppValue, result: AppValue, inputs: Inputs
) -> Answer:
    """A path that input has led out of its folder is input once it is resolved.

    Nothing is refused here: most apps resolve a path to see whether it is inside.
    """
    del protect
    text, made = text_of(value), text_of(result)
    if text is not None and made is not None and ".." in text:
        verdict = path.judge(text, inputs)
        if isinstance(verdict, Finding):
            given = verdict.input
            is_above = os.path.normpath(text[: verdict.start]).startswith(made)
            form = "resolved above" if is_above else "resolved"
            _note_name(Input(made, given.source, given.parameter, form))
    return _NOTHING


def _ask_entry(
    protect: Protect, value: AppValue, result: AppValue, inputs: Inputs
) -> Answer:
    """An archive's member: its name is input if it would lead out of a folder."""
    del protect, result, inputs
    text = text_of(value)
    found = path.judge_member(text) if text is not None else None
    if found is not None:
        _note_name(found.input)
    return _NOTHING


def _note_name(name: Input) -> None:
    request = current_request()
    if request is not None:
        names = request.names = request.names or []
        if len(names) < _NAMES_LIMIT and name not in names:
            names.append(name)


def _own_folders() -> set[str]:
    """The folders of the app and of its interpreter, and all above them.

    What the app opens by itself begins with one of them, and requests name them too:
    `?next=/app` is an address of the site, and /app the folder that it runs in.
    """
    places = [sys.prefix, sys.base_prefix, *sys.path]
    with suppress(OSError):
        places.append(os.getcwd())  # noqa: PTH109 - pathlib is not needed
    folders: set[str] = set()
    for place in places:
        if type(place) is str:
            parts = place.split("/")
            folders.update("/".join(parts[:end]) for end in range(2, len(parts) + 1))
    return {folder for folder in folders if folder[:1] == "/"}


def _ask_member(
    protect: Protect, value: AppValue, result: AppValue, inputs: Inputs
) -> Answer:
    del protect, result, inputs
    text = text_of(value)
    if text is None:
        return _judge_tar_member(value)
    return path.judge_member(text), text, text


def _judge_tar_member(value: AppValue) -> Answer:
    """By its name, and by where the links lead that its archive has made so far."""
    name, target, kind, offset = [read_attribute(value, each) for each in _MEMBER]
    request = current_request()
    kinds = [type(name), type(target), type(kind), type(offset)]
    if kinds != [str, str, bytes, int] or request is None:
        return _unreadable()
    if request.links is None or offset == 0:
        request.links = {}  # the first member of an archive
    links = request.links
    if kind == _LINK:
        # another name of a member that is there, and who writes it writes that
        verdict = path.judge_member(target, links)
        if verdict is not None:
            return verdict, target, target
    is_file = kind not in (_SYMBOLIC_LINK, _FOLDER)
    verdict = path.judge_member(name, links, follows=is_file)
    if kind == _SYMBOLIC_LINK and verdict is None:
        place = path.place_of_member(name, links, follows=False)
        links[place or ""] = target
    return verdict, name, name


def _ask_url(
    protect: Protect, value: AppValue, result: AppValue, inputs: Inputs
) -> Answer:
    del result
    text = text_of(value)
    if text is None:
        return _unreadable()
    verdict = url.judge(text, inputs, (), protect.allowed)
    request = current_request()
    if verdict is None and request is not None:
        outgoing = request.outgoing = request.outgoing or Outgoing()
        chosen = url.chosen_by(text, inputs)
        if chosen is None:
            outgoing.hosts.add(url.host_of(text))
        else:
            outgoing.chosen = chosen
    return verdict, text, text


def _ask_redirect(
    protect: Protect, value: AppValue, result: AppValue, inputs: Inputs
) -> Answer:
    """A URL that a response leads on to is input where input has chosen who answers."""
    del result, inputs
    text = text_of(value)
    if text is None:
        return _unreadable()
    request = current_request()
    outgoing = None if request is None else request.outgoing
    if outgoing is None or outgoing.chosen is None:
        return _NOTHING
    if url.host_of(text) in outgoing.hosts or len(outgoing.led) >= _LED_LIMIT:
        return _NOTHING
    chosen = outgoing.chosen
    led = Input(text, chosen.source, chosen.parameter, "redirect")
    outgoing.led.append(led)
    return url.judge(text, Inputs([led]), (), protect.allowed), text, text


def _ask_host(
    protect: Protect, value: AppValue, result: AppValue, inputs: Inputs
) -> Answer:
    text = host_of(value)
    if text is None:
        return _unreadable()
    request = current_request()
    outgoing = None if request is None else request.outgoing
    more = outgoing.led if outgoing is not None else ()
    addresses, port = addresses_of(result), port_of(value, result)
    verdict = url.judge_host(text, inputs, addresses, protect.allowed, port, more)
    return verdict, text, text


def _unreadable() -> Answer:
    return NotMade(UNREADABLE, occurs=False), "", ""


_ASK: dict[str, Ask] = {
    "sql": _ask_sql,
    "shell": _ask_shell,
    "path": _ask_path,
    "member": _ask_member,
    "url": _ask_url,
    "host": _ask_host,
    "redirect": _ask_redirect,
    "resolved": _ask_resolved,
    "entry": _ask_entry,
}
