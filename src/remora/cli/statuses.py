"""What became of a probe in each instance, a line or a paragraph each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from remora.cli.answers import get_number, get_object, get_objects, get_text
from remora.cli.names import name_instance
from remora.cli.output import INDENT, Span
from remora.cli.records import format_count, format_date
from remora.protocol import SUPPRESSIONS, UNMET_LIMIT, State

if TYPE_CHECKING:
    from collections.abc import Iterator

    from remora.cli.answers import JsonObject
    from remora.cli.names import InstanceNames
    from remora.cli.output import Output

_SHOWN_US = 0.1
"""The least that is shown."""

STATE_STYLES = {
    "installed": "green",
    "waiting": "yellow",
    "partly": "yellow",
    "limited": "yellow",
    "tripped": "red",
    "failed": "red",
}


@dataclass(frozen=True, slots=True)
class InstanceStatus:
    """A status and its instance's name; `presence` says if that is not connected."""

    instance: str
    status: JsonObject
    presence: str = ""

    @property
    def state(self) -> str:
        """Where the probe stands in that instance."""
        return get_text(self.status, "state")


def read_statuses(answer: JsonObject, names: InstanceNames) -> list[InstanceStatus]:
    """The statuses of a probe's answer; an instance may be an object or an id."""
    result: list[InstanceStatus] = []
    for entry in get_objects(answer, "statuses"):
        instance = get_object(entry, "instance")
        presence = get_text(instance, "state")
        if instance:
            name = name_instance(instance)
        else:
            name = names.name(get_text(entry, "instance"))
        status = get_object(entry, "status")
        said = "" if presence == "connected" else presence
        result.append(InstanceStatus(name, status, said))
    return sorted(result, key=lambda entry: entry.instance)


def status_line(entry: InstanceStatus) -> list[Span]:
    """Instance, state, and the reason where there is one."""
    status = entry.status
    style = STATE_STYLES.get(entry.state, "")
    presence = f"({entry.presence})  " if entry.presence else ""
    name = f"{INDENT}{entry.instance}  {presence}"
    spans = [Span(name, "blue"), Span(entry.state, style)]
    if reason := get_text(status, "reason"):
        # "installed at 1 place" says its state itself.
        repeated = reason.startswith(f"{entry.state} ")
        spans.append(Span(reason[len(entry.state) :] if repeated else f": {reason}"))
    elif count := get_number(status, "site_count"):
        spans.append(Span(f" at {format_count(count, 'site')}"))
    return spans


def show_status(output: Output, entry: InstanceStatus) -> None:
    """A status with its sites, mechanisms and counters."""
    output.line(*status_line(entry))
    inner = INDENT * 2
    for site in get_objects(entry.status, "sites"):
        output.line(inner, *_site(site))
    listed = len(get_objects(entry.status, "sites"))
    if (rest := get_number(entry.status, "site_count") - listed) > 0:
        output.line(Span(f"{inner}… {rest} sites more", "dim"))
    output.line(Span(f"{inner}{', '.join(_counters(entry.status))}", "dim"))
    # Of a probe that has never fired the reason says so already.
    unread = get_object(entry.status, "unread")
    if unread and get_number(entry.status, "firings"):
        paths = ", ".join(f"{path} ({why})" for path, why in unread.items())
        output.line(f"{inner}not read in calls that it let go: {paths}")
    if error := get_text(entry.status, "last_error"):
        output.line(f"{inner}last error: ", Span(error, "red"))


def _site(site: JsonObject) -> Iterator[Span]:
    yield Span(get_text(site, "site"))
    if mechanism := get_text(site, "mechanism"):
        yield Span(f"  by {mechanism}")
    if why := get_text(site, "why"):
        yield Span(f": {why}")
    if file := get_text(site, "file"):
        line = get_number(site, "line")
        yield Span(f"  {file}:{line}" if line else f"  {file}", "dim")


def _counters(status: JsonObject) -> Iterator[str]:
    firings, unmet = get_number(status, "firings"), get_number(status, "unmet")
    yield format_count(firings, "firing")
    if not firings and not unmet and _is_in_force(status):
        yield "no call has come to it so far"
    if firings and unmet:
        more = " and more" if unmet >= UNMET_LIMIT else ""
        yield f"condition not met in {unmet} calls{more}"
    suppressed = get_number(status, "suppressed")
    if suppressed:
        by = get_object(status, "suppressed_by")
        parts = [
            f"{by[key]} by {why}" for key, why in SUPPRESSIONS.items() if key in by
        ]
        reasons = f" ({', '.join(parts)})" if parts else ""
        yield f"{suppressed} suppressed{reasons}"
    for key in ("errors", "dropped"):
        if number := get_number(status, key):
            yield f"{number} {key}"
    if (cpu_ns := get_number(status, "cpu_ns")) and firings > suppressed:
        a_record, cpu_us = firings - suppressed, cpu_ns / 1000
        a_call = cpu_us / (firings + unmet)
        bound = "at most " if unmet >= UNMET_LIMIT or a_call < _SHOWN_US else ""
        yield (
            f"{cpu_us / a_record:.0f} µs of CPU a record, {bound}"
            f"{max(_SHOWN_US, a_call):.1f} µs a call"
        )
    if last := get_number(status, "last_firing"):
        yield f"last record {format_date(last)}"


def _is_in_force(status: JsonObject) -> bool:
    state = get_text(status, "state")
    return any(state == each.value and each.meaning.in_force for each in State)


def show_absences(output: Output, answer: JsonObject) -> None:
    """Why instances say nothing of a probe: not heard of yet, or not meant."""
    silent, others = get_objects(answer, "unanswered"), get_objects(answer, "elsewhere")
    for entry in silent:
        name = name_instance(get_object(entry, "instance"))
        reason = get_text(entry, "reason")
        output.line(
            Span(f"{INDENT}{name}  ", "blue"),
            Span("unreported", "yellow"),
            f": {reason}",
        )
    for entry in others:
        name, count = (
            name_instance(get_object(entry, "instance")),
            get_number(entry, "instances"),
        )
        which = name if count == 1 else f"{count} instances, such as {name}"
        output.line(Span(f"{INDENT}not in {which}: {get_text(entry, 'reason')}", "dim"))
    if not silent and not others and not get_objects(answer, "statuses"):
        output.line(
            f"{INDENT}no instance is running that the server knows of: see `remora "
            "ps`, and REMORA_SERVER in the app's environment"
        )
