"""Rules from local files: TOML with `[[rule]]` tables, taken whole or not at all."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from remora.agent.control.probe_files import read_file
from remora.errors import RuleError
from remora.protocol.rules import ID_CHARACTERS, RULES_LIMIT, parse_rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from remora.protocol.rules import Rule

_KEYS = (
    "id",
    "detector",
    "route",
    "parameter",
    "place",
    "line",
    "mode",
    "reason",
    "expires",
    "env",
)


def read_rule_files(
    paths: Sequence[str], carried: Mapping[str, bytes] | None = None, env: str = ""
) -> list[Rule]:
    """The rules of all files for an environment. Raises ProbeFileError or RuleError.

    `carried` has the contents of files that are elsewhere, by their names.
    """
    rules = [
        rule
        for path in paths
        for rule in _parse(path, read_file(path, (carried or {}).get(path)), env)
    ]
    if len(rules) > RULES_LIMIT:
        raise RuleError(f"there are {len(rules)} rules, and {RULES_LIMIT} at most")
    return rules


def _parse(path: str, text: str, env: str) -> list[Rule]:
    # Late, because few apps have rules.
    import tomllib

    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RuleError(f"{path}: no TOML: {error}") from None
    entries = document.pop("rule", [])
    if document or not isinstance(entries, list):
        raise RuleError(f"{path}: a file of rules has [[rule]] tables and nothing else")
    rules: list[Rule] = []
    for number, entry in enumerate(entries, 1):
        try:
            # of a long path the end says which one it is
            rule, only_in = _read(entry, f"{path}#{number}"[-ID_CHARACTERS:])
        except RuleError as error:
            raise RuleError(f"{path}: rule {number}: {error}") from None
        if only_in in {"", env}:
            rules.append(rule)
    return rules


def _read(entry: object, default_id: str) -> tuple[Rule, str]:
    """A rule, and the environment that it is for."""
    if not isinstance(entry, dict):
        raise RuleError("it is no table: write [[rule]] above its keys")
    if unknown := set(entry) - set(_KEYS):
        raise RuleError(f"no key {min(unknown)!r}; a rule has {', '.join(_KEYS)}")
    table = {"id": default_id, **entry}
    if "expires" in table:
        table["expires_at"] = _end(table.pop("expires"))
    env = table.pop("env", "")
    if not isinstance(env, str):
        raise RuleError(f"env = {str(env)[:60]!r} is no text: write env = 'prod'")
    return parse_rule(table), env


def _end(value: object) -> int:
    """A date or a moment of TOML; a date holds to its end, in UTC."""
    if isinstance(value, dt.datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
    elif isinstance(value, dt.date):
        day = value + dt.timedelta(days=1)
        moment = dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC)
    else:
        raise RuleError(f"expires = {value!r} is no date: write expires = 2030-12-31")
    return int(moment.timestamp()) * 1_000_000_000
