"""`remora protect`: how apps are protected, and the rules that change it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remora.cli.answers import (
    get_number,
    get_object,
    get_objects,
    get_text,
    tell_not_made,
)
from remora.cli.connection import open_client
from remora.cli.output import INDENT, Output, Span, Table, open_output, print_json
from remora.cli.records import format_count, format_date
from remora.errors import CommandError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator, Mapping, Sequence

    from remora.cli.answers import JsonObject

MODE_STYLES = {"block": "green", "watch": "yellow", "off": "dim"}

_SCOPE = ("detector", "route", "parameter", "place", "line")


def show_protection(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora protect`."""
    app = arguments.app or ""
    with open_client(arguments, environ) as client:
        apps = client.protection(app)
        rules = [
            rule
            for rule in client.rules()
            if not app or get_text(rule, "app") in {"", app}
        ]
    if arguments.json:
        print_json(sys.stdout, {"apps": apps, "rules": rules})
        return 0
    output = open_output(sys.stdout, environ)
    if not apps:
        output.line("no instances: start an app with `remora run --protect watch -- …`")
    for each in apps:
        tell_app(output, each)
    if rules:
        output.line(Span("rules", "bold"))
        show_rules(output, rules)
    return 0


def set_mode(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora protect set`."""
    return _set(arguments, environ, {})


def add_exception(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora protect except`."""
    narrow = ("vulnerability", "route", "parameter", "place")
    if not any(getattr(arguments, key) for key in narrow):
        raise CommandError(
            "an exception from what? Give the ID of a vulnerability, --route, "
            "--parameter or --place; for a whole app there is `remora protect set`"
        )
    return _set(
        arguments,
        environ,
        {"vulnerability": arguments.vulnerability, "parameter": arguments.parameter}
        | {"place": arguments.place, "line": arguments.line},
    )


def _set(
    arguments: Namespace, environ: Mapping[str, str], more: Mapping[str, str | None]
) -> int:
    given = {
        key: getattr(arguments, key)
        for key in ("app", "env", "detector", "route", "mode", "reason", "expires")
    }
    wanted = {key: value for key, value in {**given, **more}.items() if value}
    with open_client(arguments, environ) as client:
        made = client.set_rule(wanted)
    if arguments.json:
        print_json(sys.stdout, made)
    else:
        expires = get_number(made, "expires_at")
        until = f"until {format_date(expires)}" if expires else "until it is removed"
        open_output(sys.stdout, environ).line(
            f"rule {get_text(made, 'id')}: {get_text(made, 'mode')} for "
            f"{_scope(made)} {_where(made)} {until}"
        )
    return 0


def remove_rule(arguments: Namespace, environ: Mapping[str, str]) -> int:
    """Carry out `remora protect remove`."""
    with open_client(arguments, environ) as client:
        client.remove_rule(arguments.rule)
    if arguments.json:
        print_json(sys.stdout, {"removed": arguments.rule})
    else:
        open_output(sys.stdout, environ).line(f"removed rule {arguments.rule}")
    return 0


def tell_app(output: Output, app: JsonObject) -> None:
    """Print how one app is protected."""
    guarded, instances = get_number(app, "guarded"), get_number(app, "instances")
    output.line(
        Span(get_text(app, "app"), "bold"),
        f": {guarded} of {instances} instances are guarded",
    )
    if unreported := get_number(app, "unreported"):
        output.line(
            INDENT, f"{unreported} have not said yet: the server has just begun"
        )
    for complaint in _texts(app, "complaints"):
        output.line(INDENT, Span(complaint, "red"))
    for pack in get_objects(app, "packs"):
        output.line(INDENT, *_pack(pack))
        for told in tell_not_made(pack):
            output.line(INDENT * 2, Span(told, "red"))
        for flaw in get_objects(pack, "flaws"):
            output.line(
                INDENT * 2,
                Span(get_text(flaw, "probe"), "red"),
                f" in {get_number(flaw, 'instances')}: {get_text(flaw, 'reason')}",
            )


def _pack(pack: JsonObject) -> Iterator[Span]:
    modes = get_object(pack, "modes")
    name, detector = get_text(pack, "pack"), get_text(pack, "detector")
    yield Span(f"{name if name == detector else f'{name} ({detector})'}  ")
    for mode, count in modes.items():
        # off and in place: a rule for less than the whole app may turn it on
        said = "off but for rules" if mode == "off" and pack["guarded"] else mode
        shown = said if len(modes) == 1 else f"{said} in {count}"
        yield Span(f"{shown}  ", MODE_STYLES.get(mode, ""))
    guarded, waiting = _texts(pack, "guarded"), _texts(pack, "waiting")
    yield Span(f"at {', '.join(guarded)}" if guarded else "at nothing")
    if waiting:
        yield Span(f"  not imported: {', '.join(waiting)}", "dim")
    checks = format_count(get_number(pack, "checks"), "check")
    yield Span(f"  {checks}", "dim")


def show_rules(output: Output, rules: Sequence[JsonObject]) -> None:
    """Print rules as a table, and below it where they do not hold, and why."""
    table = Table(
        ("id", "mode", "app", "for", "expires", "by", "decided", "reason"),
        right=frozenset({"decided"}),
    )
    for rule in rules:
        expires, mode = get_number(rule, "expires_at"), get_text(rule, "mode")
        table.rows.append(
            (
                Span(get_text(rule, "id")),
                Span(mode, MODE_STYLES.get(mode, "")),
                Span(_apps(rule)),
                Span(_scope(rule)),
                Span(format_date(expires) if expires else "never"),
                Span(get_text(rule, "created_by")),
                Span(str(get_number(rule, "decided"))),
                Span(get_text(rule, "reason")),
            )
        )
    output.table(table)
    for rule in rules:
        for refusal in get_objects(rule, "refusals"):
            output.line(
                Span(f"{get_text(rule, 'id')} ", "red"),
                f"does not hold in {get_number(refusal, 'instances')} instances: "
                f"{get_text(refusal, 'reason')}",
            )
        if unreported := get_number(rule, "unreported"):
            output.line(
                f"{get_text(rule, 'id')} is not known to {unreported} instances so far"
            )


def _scope(rule: JsonObject) -> str:
    said = [f"{key} {text}" for key in _SCOPE if (text := get_text(rule, key))]
    return ", ".join(said) or "every detector"


def _apps(rule: JsonObject) -> str:
    app, env = get_text(rule, "app") or "(every)", get_text(rule, "env")
    return f"{app} {env}" if env else app


def _where(rule: JsonObject) -> str:
    app, env = get_text(rule, "app"), get_text(rule, "env")
    where = f"in {app}" if app else "in every app"
    return f"{where}, {env}" if env else where


def _texts(table: JsonObject, key: str) -> list[str]:
    values = table.get(key)
    return [str(each) for each in values] if isinstance(values, list) else []
