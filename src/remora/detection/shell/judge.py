"""Judges commands: a line for a shell, or a list of arguments.

In a line an input may be a part of one word, quoted or not. It breaks out with a blank
(but not among the words of `echo`), an operator, an expansion, a quote that it ends or
leaves open, or an escape that takes a character behind it. In a list each argument is a
word already: judged is what a shell gets after `-c`, an input that begins an option of
a known program, and a program that the input names. The commands of a line are judged
as lists too, once the shell's own quotes are off: they may start further shells.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from remora.detection.finding import Finding, NotMade, Verdict
from remora.detection.inputs import locate
from remora.detection.shell.lines import Line
from remora.detection.shell.options import base_name, options_of
from remora.detection.shell.starters import command_behind, line_of
from remora.detection.shell.words import read_pieces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from remora.detection.inputs import Input, Inputs

ARGUMENTS_LIMIT = 5000
"""Arguments of one list that are judged."""

_WORK_LIMIT = 50_000
"""Pieces of a line times places of inputs in it: for a place many may be looked at."""

_DEPTH_LIMIT = 3
"""Shells within shells: `sh -c "ssh host 'sh -c …'"` is about what people write."""

_CAN_MATTER = re.compile(r"[^\w./:@%+,=]|\A-|/").search
_CAN_BE_OPTION = re.compile(r"[^\w.,=%]|\A-").search
_CLIMBS = re.compile(r"\.\./").search


def judge(argument: str, inputs: Inputs) -> Verdict:
    """Find the first input that leaves its word in a line for a shell."""
    whole = inputs.named(argument) or inputs.named(argument.strip())
    if whole is not None and argument.strip():
        found = inputs.occurring(argument, _CAN_MATTER)
        return found if isinstance(found, NotMade) else _whole(argument, whole)
    return _judge_line(argument, inputs, 0)


def _judge_line(argument: str, inputs: Inputs, depth: int) -> Verdict:
    found = inputs.occurring(argument, _CAN_MATTER)
    if isinstance(found, NotMade):
        return found
    places = locate(argument, found)
    if isinstance(places, NotMade):
        return places
    if places:
        pieces = read_pieces(argument)
        if pieces is None:
            return NotMade("the command line has too many pieces")
        if len(places) * len(pieces) > _WORK_LIMIT:
            return NotMade("the command line has too many pieces for its inputs")
        line = Line(argument, pieces)
        for place in places:
            finding = line.judge(place)
            if finding:
                return finding
        for command in line.commands(places):
            verdict = _judge_command(command, inputs, depth)
            if isinstance(verdict, Finding):
                return _as_in(argument, verdict)
            if isinstance(verdict, NotMade):
                return verdict
    return NotMade(inputs.cut) if inputs.cut else None


def judge_arguments(arguments: Sequence[str], inputs: Inputs) -> Verdict:
    """Find the first input that decides what a list of arguments runs.

    The finding's places are places in the one argument that it speaks of.
    """
    if len(arguments) > ARGUMENTS_LIMIT:
        return NotMade(f"the command has more than {ARGUMENTS_LIMIT} arguments")
    if not arguments:
        return NotMade(inputs.cut) if inputs.cut else None
    verdict = _judge_program(list(arguments), inputs)
    return verdict or _judge_command(list(arguments), inputs, 0)


def _judge_program(arguments: list[str], inputs: Inputs) -> Finding | None:
    """An input that is the program, or that leads to another one."""
    command = arguments
    while behind := command_behind(command):
        command = behind
    named = inputs.named(command[0])
    if named is not None and (len(command) == 1 or "/" in command[0]):
        return _whole(command[0], named)
    if ".." not in command[0]:
        return None
    found = inputs.occurring(command[0], _CLIMBS)
    if isinstance(found, NotMade) or not found:
        return None
    return _found(found[0], command[0], "leads to another program", "PROGRAM")


def _judge_command(arguments: list[str], inputs: Inputs, depth: int) -> Verdict:
    """An input that is an option, or that leaves its word in what a shell gets."""
    verdict: Verdict = NotMade(inputs.cut) if inputs.cut else None
    command = arguments
    while command:
        line = line_of(command) if depth < _DEPTH_LIMIT else ""
        if line:
            whole = None if line.isidentifier() else inputs.named(line)
            made = _whole(line, whole) if whole else None
            made = made or _judge_line(line, inputs, depth + 1)
            if isinstance(made, Finding):
                return made
            verdict = verdict or made
        chosen = _judge_options(command, inputs)
        if chosen is not None:
            return chosen
        command = command_behind(command)
    return verdict


def _judge_options(arguments: list[str], inputs: Inputs) -> Finding | NotMade | None:
    program = base_name(arguments[0])
    for at in options_of(arguments):
        argument, behind = arguments[at], arguments[at + 1 : at + 2]
        if len(argument) == 2 and not any(map(inputs.named, behind)):
            continue  # it needs a value: by itself it is the app's own word
        chosen = _option(program, argument, inputs)
        if chosen is not None:
            return chosen
    return None


def _option(program: str, argument: str, inputs: Inputs) -> Finding | NotMade | None:
    found = inputs.occurring(argument, _CAN_BE_OPTION)
    if isinstance(found, NotMade):
        return found
    for each in found:
        if len(each.text) > 1 and argument.startswith(each.text):
            return _found(each, argument, f"is an option of {program}", "OPTION")
    return None


def _found(each: Input, argument: str, sentence: str, made: str) -> Finding:
    start = argument.find(each.text)
    return Finding(
        "shell", each, start, start + len(each.text), start,
        f"the input {sentence}", "INPUT", made,
    )  # fmt: skip


def _as_in(line: str, finding: Finding) -> Finding:
    """A finding in what a line hands on, with the input's place in the line itself."""
    text = finding.input.text
    start = max(line.find(text), 0)
    return Finding(
        "shell",
        finding.input,
        start,
        min(start + len(text), len(line)),
        min(start + max(finding.broke_from - finding.start, 0), len(line)),
        finding.sentence,
        finding.before,
        finding.after,
    )


def _whole(argument: str, each: Input) -> Finding:
    return _found(each, argument, "is the whole command", "COMMAND")
