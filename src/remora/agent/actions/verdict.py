"""Asking a detector: from the value of an argument to what is against it."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from remora.agent.actions.sink_values import (
    addresses_of,
    host_of,
    says_nothing,
    text_of,
    texts_of,
)
from remora.detection import Finding, Inputs, NotMade, path, shell, sql, url

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from remora.agent.interception import AppValue
    from remora.detection import Verdict
    from remora.protocol.protect import Protect

    Answer = tuple[Verdict, str, str]
    """The verdict, the text that it is about, and the whole argument as a text."""

    Ask = Callable[[Protect, AppValue, AppValue, Inputs], Answer]

UNREADABLE = "the argument cannot be read without running the app's code"
_NOTHING: Answer = (None, "", "")


WORDS_IN: dict[str, Callable[[str], Iterable[str]]] = {
    "sql": sql.words_in,
    "path": path.words_in,
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
    verdict = path.judge(text, inputs)
    if isinstance(verdict, Finding) and verdict.end < len(text):
        folders = _own_folders()
        if verdict.input.text.rstrip("/") in folders:
            others = Inputs(e for e in inputs if e.text.rstrip("/") not in folders)
            others.cut = inputs.cut
            verdict = path.judge(text, others)
    return verdict, text, text


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
        return _unreadable()
    return path.judge_member(text), text, text


def _ask_url(
    protect: Protect, value: AppValue, result: AppValue, inputs: Inputs
) -> Answer:
    del result
    text = text_of(value)
    if text is None:
        return _unreadable()
    return url.judge(text, inputs, (), protect.allowed), text, text


def _ask_host(
    protect: Protect, value: AppValue, result: AppValue, inputs: Inputs
) -> Answer:
    text = host_of(value)
    if text is None:
        return _unreadable()
    addresses = addresses_of(result)
    return url.judge_host(text, inputs, addresses, protect.allowed), text, text


def _unreadable() -> Answer:
    return NotMade(UNREADABLE, occurs=False), "", ""


_ASK: dict[str, Ask] = {
    "sql": _ask_sql,
    "shell": _ask_shell,
    "path": _ask_path,
    "member": _ask_member,
    "url": _ask_url,
    "host": _ask_host,
}
