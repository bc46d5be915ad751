"""A probe on recorded calls: when it would have fired, on which values, for whom.

Pure: records in, a Trial out. A condition is judged by what was recorded alone; where
a part that decides it is missing, the call is `untold` and the part is named.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from remora.cli.answers import get_object, get_text
from remora.cli.recorded import (
    NotRecordedError,
    RecordedCall,
    Told,
    is_path,
    path_text,
    root_of,
)
from remora.cli.values import format_value
from remora.expression import (
    Expression,
    Missing,
    compile_condition,
    compile_value,
    render_text,
)
from remora.protocol import Instance, Phase, TargetKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from remora.cli.answers import JsonObject
    from remora.protocol import Probe

Tree = Any
AppValue = Any

_CALL_KINDS = frozenset({"log", "snapshot", "override", "span"})
"""Records of single calls."""

_ATTACK = "attack"
"""The kind of records that protect probes are tried on besides."""

_SHOWN_LIMIT = 80
"""Characters of a value in a table."""

DISTINCT_LIMIT = 10_000
"""Different combinations of values that are kept apart."""


@dataclass(slots=True)
class Trial:
    """What became of one probe on the records."""

    probe: Probe
    calls: int = 0
    fired: int = 0
    untold: Counter[str] = field(default_factory=Counter[str])
    outside: Counter[str] = field(default_factory=Counter[str])
    values: Counter[str] = field(default_factory=Counter[str])
    users: Counter[str] = field(default_factory=Counter[str])
    outcomes: Counter[str] = field(default_factory=Counter[str])
    recorders: set[str] = field(default_factory=set[str])

    @property
    def told(self) -> int:
        """Calls of which it is known what the probe would have done."""
        return self.calls - self.untold.total() - self.outside.total()

    @property
    def quiet(self) -> int:
        """Calls at which it would not have fired."""
        return self.told - self.fired


def run(
    probes: Iterable[Probe],
    records: Iterable[JsonObject],
    instances: Mapping[str, Instance],
) -> tuple[list[Trial], Counter[str]]:
    """Try each probe on each recorded call; and the sites that there were."""
    trials = [_Try(probe, instances) for probe in probes]
    sites: Counter[str] = Counter()
    for record in records:
        kind = get_text(record, "kind")
        if kind not in _CALL_KINDS and kind != _ATTACK:
            continue
        site = get_text(record, "site")
        sites[site] += 1
        wanting = [each for each in trials if each.takes(kind, site)]
        if wanting:
            call = RecordedCall(record)
            for each in wanting:
                each.take(call)
    return [each.trial for each in trials], sites


def unchecked(probe: Probe, *, knows_instances: bool) -> list[str]:
    """What a dry run of this probe leaves out, a sentence each."""
    left = [
        "calls that the conditions and limits of those probes left out are not here"
    ]
    if probe.protect is not None:
        left.append(
            "whether an attack was found in the argument that this probe judges is not "
            "known: name the same"
        )
        left.append(
            "what a process lets pass, constants of the app's code and statements that "
            "were there before, is not known to captured calls"
        )
    elif probe.limit.hits or probe.limit.rate or not probe.needs_trust:
        left.append(
            "limits are not applied: rate, hits and share of time may hold some back"
        )
    scope = probe.scope
    if not knows_instances and any(
        (scope.env, scope.version, scope.host, scope.instance, scope.share)
    ):
        left.append(
            "of the scope only the app is checked: a file says no more of a process"
        )
    if probe.requires is not None:
        left.append(f"requires {probe.requires} is not checked")
    if probe.expect is not None:
        left.append("expect is not checked: records have no source text")
    if probe.keep is not None:
        left.append("keep is not applied: it is asked at the end of the request")
    if any(target.kind is TargetKind.NAME for target in probe.target.include):
        left.append(
            "a target that is an alias is not resolved: write where the code lives"
        )
    return left


class _Try:
    """One probe on its way through the records."""

    def __init__(self, probe: Probe, instances: Mapping[str, Instance]) -> None:
        self.trial = Trial(probe)
        self._instances = instances
        self._judge = _Judge()

    def takes(self, kind: str, site: str) -> bool:
        """Whether a record of this kind says anything of the probe at this site."""
        probe = self.trial.probe
        return (kind != _ATTACK or probe.protect is not None) and self._means(site)

    def _means(self, site: str) -> bool:
        targets = self.trial.probe.target
        module, _, path = site.partition(":")
        if targets.excludes(module, path):
            return False
        return any(
            site == target.text
            or target.matches(module, path)
            or (target.kind is TargetKind.LINE and site.endswith(f"/{target.text}"))
            for target in targets.include
        )

    def take(self, call: RecordedCall) -> None:
        """Judge one call."""
        trial, record = self.trial, call.record
        trial.calls += 1
        trial.recorders.add(get_text(record, "probe"))
        if reason := self._outside(record):
            trial.outside[reason] += 1
            return
        try:
            told = self._tell(call)
        except NotRecordedError as error:
            trial.untold[str(error)] += 1
            return
        if told is None:
            return
        trial.fired += 1
        _note(trial.values, told.values)
        _note(trial.users, told.whom or _whom(record))
        if told.outcome:
            _note(trial.outcomes, told.outcome)

    def _tell(self, call: RecordedCall) -> Told | None:
        """What the probe would have done, or None. Raises NotRecordedError."""
        probe, record = self.trial.probe, call.record
        is_attack = get_text(record, "kind") == _ATTACK
        phase = get_text(record, "phase")
        if not is_attack and (reason := _other_phase(probe, phase)):
            raise NotRecordedError(reason)
        shown: dict[str, str] = {}
        when = probe.when
        if when is not None and not self._judge.holds(when.tree, call, shown):
            return None
        if probe.protect is not None or probe.request is not None:
            return self._tell_of_request(call, is_attack=is_attack)
        values = ", ".join(f"{k} = {v}" for k, v in shown.items()) or "any"
        outcome = self._outcome(call) if probe.override is not None else ""
        return Told(values, outcome)

    def _tell_of_request(self, call: RecordedCall, *, is_attack: bool) -> Told | None:
        probe = self.trial.probe

        def read(tree: Tree) -> AppValue:
            return self._judge.value(tree, call)

        # Late, because detectors and request contexts are of no use to other probes.
        if probe.protect is None:
            from remora.cli.dry_request import open_request

            return open_request(probe, read)
        from remora.cli.dry_protect import judge_attack, judge_call

        if is_attack:
            return judge_attack(probe, call.record)
        return judge_call(probe, call, read)

    def _outside(self, record: JsonObject) -> str:
        probe = self.trial.probe
        instance = self._instances.get(get_text(record, "instance"))
        if instance is not None:
            return probe.scope.refusal(instance, probe.id) or ""
        app = get_text(record, "app")
        if app and probe.scope.app not in {None, app}:
            return f"scope app = {probe.scope.app!r}, the record's is {app!r}"
        return ""

    def _outcome(self, call: RecordedCall) -> str:
        """What the override would have done, as a person reads it."""
        override = self.trial.probe.override
        assert override is not None
        try:
            if override.returns is not None:
                return f"return {self._text(override.returns, call)}"
            if override.raises is not None:
                return "raise " + "".join(
                    part
                    if isinstance(part, str)
                    else self._text(part, call, quoted=False)
                    for part in override.raises.parts
                )
            changed = (
                f"{name} = {self._text(each, call)}"
                for name, each in override.arguments
            )
            return f"go on with {', '.join(changed)}"
        except NotRecordedError as error:
            return f"do what cannot be told: {error}"
        except _MissingError as error:
            return f"change nothing: {error}"

    def _text(
        self, expression: Expression, call: RecordedCall, *, quoted: bool = True
    ) -> str:
        value = self._judge.value(expression.tree, call)
        if isinstance(value, Missing):
            raise _MissingError(f"{expression.text} is missing ({value.reason})")
        is_text = isinstance(value, str) and quoted
        return _short(repr(value) if is_text else render_text(value))


class _MissingError(Exception):
    """An override needs what was missing in the call: it leaves such a call alone."""


class _Judge:
    """Evaluates trees on recorded calls; what was compiled once serves all calls."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, Tree], Callable[..., AppValue]] = {}

    def holds(self, tree: Tree, call: RecordedCall, shown: dict[str, str]) -> bool:
        """Whether a condition counts as true; `shown` gets what it looked at.

        `and` and `or` need only the parts that decide them.
        """
        kind = tree[0] if isinstance(tree, tuple) else ""
        if kind == "not":
            return not self.holds(tree[1], call, shown)
        if kind in {"and", "or"}:
            doubt: NotRecordedError | None = None
            for part in tree[1:]:
                try:
                    if self.holds(part, call, shown) is (kind == "or"):
                        return kind == "or"
                except NotRecordedError as error:
                    doubt = doubt or error
            if doubt is not None:
                raise doubt
            return kind == "and"
        return self._run("condition", tree, call, shown)

    def value(self, tree: Tree, call: RecordedCall) -> AppValue:
        """The value of an expression."""
        return self._run("value", tree, call, {})

    def _run(
        self, kind: str, tree: Tree, call: RecordedCall, shown: dict[str, str]
    ) -> AppValue:
        binding = _Binding(call, shown)
        bound = binding.replace(tree)
        key = (kind, bound)
        compiled = self._compiled.get(key)
        if compiled is None:
            make = compile_condition if kind == "condition" else compile_value
            names = frozenset(binding.values)
            expression = Expression("recorded", bound, names, frozenset())
            compiled = self._compiled[key] = make(expression, tuple(binding.values))
        return compiled(*binding.values.values())


class _Binding:
    """Puts names of recorded values in place of the paths of a tree."""

    def __init__(self, call: RecordedCall, shown: dict[str, str]) -> None:
        self._call = call
        self._shown = shown
        self.values: dict[str, AppValue] = {}

    def replace(self, tree: Tree, *, shallow: bool = False, bound: str = "") -> Tree:
        """The tree over recorded values. Raises NotRecordedError."""
        if not isinstance(tree, tuple) or tree[0] == "int":
            return tree
        if self._call.knows(tree) or (is_path(tree) and root_of(tree) != bound):
            return self._bind(tree, shallow=shallow)
        if tree[0] == "name":
            return tree
        if tree[0] == "loop":
            _, function, variable, container, condition = tree
            inner = self.replace(condition, bound=variable)
            return ("loop", function, variable, self.replace(container), inner)
        is_kind = tree[0] == "missing" or tree[:2] == ("call", "type_name")
        is_kind = is_kind or (tree[0] == "compare" and len(tree) == 4 and None in tree)
        head = 2 if tree[0] == "call" else 1
        parts = (
            self.replace(part, shallow=is_kind, bound=bound) for part in tree[head:]
        )
        return (*tree[:head], *parts)

    def _bind(self, tree: Tree, *, shallow: bool) -> Tree:
        name = f"v{len(self.values)}"
        self.values[name] = self._call.value(tree, is_shallow=shallow)
        self._shown[path_text(tree)] = _short(format_value(self._call.read(tree)))
        return ("name", name)


def _other_phase(probe: Probe, phase: str) -> str:
    """Why a record of that phase says nothing of the probe; empty where it does."""
    wanted = probe.phase.value
    if phase == wanted or (probe.phase is Phase.PRE and phase in {"post", "fail", ""}):
        return ""
    return f"recorded in phase {phase or 'unknown'}, and the probe is for {wanted}"


def _whom(record: JsonObject) -> str:
    if user := get_object(record, "user"):
        return f"user {format_value(user.get('id'))}"
    actor = get_text(record, "actor")
    client = get_text(get_object(record, "request"), "client")
    client = actor.removeprefix("address:") if "address:" in actor else client
    return f"client {client}" if client else "nobody known"


def _note(counter: Counter[str], key: str) -> None:
    counter[key if key in counter or len(counter) < DISTINCT_LIMIT else "others"] += 1


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_LIMIT else f"{text[: _SHOWN_LIMIT - 1]}…"
