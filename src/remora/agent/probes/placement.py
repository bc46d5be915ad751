"""Where the steps of a probe or local hook stand, and why not elsewhere.

A placement aims at targets. It puts its steps on every site that the targets mean, now
and whenever a module appears later, and can say at any time what it reached, what it
waits for and what it could not reach.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from remora.agent.interception import key_of
from remora.agent.runtime import guard
from remora.agent.targets import (
    ResolutionState,
    Site,
    may_concern,
    modules_awaited,
    resolve,
)
from remora.errors import RemoraError
from remora.protocol import SITES_SHOWN, SiteStatus, State, version_matches

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from remora.agent.hooks import HookTable, Installed
    from remora.agent.interception import Step
    from remora.agent.modules import LoadedModule, ModuleStore
    from remora.protocol import Target, TargetSet

SITES_LIMIT = 20_000
"""Sites of one placement: a glob over everything in a large program has about that."""


class _Placed:
    """One site that has the steps: what is said of it, nothing of the app itself."""

    __slots__ = ("file", "installed", "is_loose", "kind", "line", "note", "site")

    def __init__(self, site: Site, installed: Installed) -> None:
        self.site = site.target
        self.kind = site.kind.value
        self.note = site.note
        self.file = site.file
        self.line = site.line
        self.installed = installed
        self.is_loose = False

    def status(self) -> SiteStatus:
        """The site as a status shows it."""
        why = self.installed.why
        return SiteStatus(
            site=self.site,
            kind=self.kind,
            mechanism=self.installed.mechanism,
            why=f"{why}; {self.note}" if self.note else why,
            file=self.file,
            line=self.line,
        )


class Placement:
    """Steps on all sites of some targets. Not thread-safe: its owner holds a lock."""

    __slots__ = (
        "_awaited",
        "_expect",
        "_forgotten",
        "_hooks",
        "_meant",
        "_placed",
        "_reasons",
        "_refused",
        "_requires",
        "_steps_for",
        "_store",
        "_targets",
    )

    def __init__(
        self,
        targets: TargetSet,
        requires: str | None,
        steps_for: Callable[[Site], tuple[Step, ...]],
        store: ModuleStore,
        hooks: HookTable,
        expect: str | None = None,
    ) -> None:
        self._targets = targets
        self._awaited = modules_awaited(targets.include)
        self._expect = expect
        self._requires = requires
        self._steps_for = steps_for
        self._store = store
        self._hooks = hooks
        self._placed: dict[Hashable, _Placed] = {}
        self._meant: dict[str, dict[Hashable, Target]] = {}
        """By module: the sites that the targets meant last, each with its target."""
        self._forgotten = hooks.forgotten
        self._refused: dict[str, str] = {}
        self._reasons: dict[str, tuple[ResolutionState, str]] = {}

    def place(self, module: LoadedModule | None = None) -> bool:
        """Put steps where they are missing; True when something changed.

        With `module`, only what can be meant in it is looked at again.
        """
        if module is not None and self._is_elsewhere(module.name):
            return False
        meant = self._meant.get(module.name, {}).values() if module is not None else ()
        targets = [
            target
            for target in self._targets.include
            if module is None or target in meant or may_concern(target, module)
        ]
        if not targets:
            return False
        before = (len(self._placed), dict(self._reasons), len(self._refused))
        # what we call on the way may carry a probe
        guard.run(lambda: self._aim_all(targets, module))
        self.forget_gone()
        return before != (len(self._placed), self._reasons, len(self._refused))

    def _is_elsewhere(self, name: str) -> bool:
        """Whether news of this module is no business of ours; most of it is none."""
        around, meant = self._awaited
        return (
            bool(around)
            and name not in around
            and name not in self._meant
            and name != "__main__"
            and sys.modules.keys().isdisjoint(meant)
        )

    def forget_gone(self) -> None:
        """Let go of sites whose objects the app has dropped. Mostly there are none."""
        if self._forgotten == self._hooks.forgotten:
            return
        self._forgotten = self._hooks.forgotten
        gone = {k for k, placed in self._placed.items() if placed.installed.is_gone}
        self._placed = {k: p for k, p in self._placed.items() if k not in gone}
        for meant in self._meant.values():
            for key in gone & meant.keys():
                del meant[key]

    def _aim_all(self, targets: list[Target], module: LoadedModule | None) -> None:
        if module is None:
            before, self._meant = self._meant, {}
        else:
            before = {module.name: self._meant.pop(module.name, {})}
        for target in targets:
            self._aim(target, module)
        for name, sites in before.items():
            self._loosen(sites.keys() - self._meant.get(name, {}).keys())

    def _aim(self, target: Target, module: LoadedModule | None) -> None:
        resolution = resolve(target, self._store, self._expect, within=module)
        if resolution.state is ResolutionState.RESOLVED:
            self._reasons.pop(target.text, None)
        else:
            self._reasons[target.text] = (resolution.state, resolution.reason)
        for site in resolution.sites:
            if not self._targets.excludes(site.module, site.qualname):
                key = self._place_at(site, target)
                self._meant.setdefault(site.module, {})[key] = target

    def _loosen(self, keys: Iterable[Hashable]) -> None:
        """No name leads there any more, but the app may still use it.

        So the steps stay, and no longer keep alive what the app drops.
        """
        for key in keys:
            placed = self._placed.get(key)
            if placed is not None and not placed.is_loose:
                placed.is_loose = True
                placed.installed.loosen()

    def _place_at(self, site: Site, target: Target) -> Hashable:
        key = key_of(site)
        if site.is_one_of_many:
            # objects of one class share the code, and each is a site of its own
            key = key, id(site.holder)
        placed = self._placed.get(key)
        if placed is None or placed.installed.is_gone:
            if len(self._placed) < SITES_LIMIT:
                self._install(key, site)
            else:
                reason = f"more than {SITES_LIMIT} sites: the others are not placed"
                self._refused[target.text] = reason
        elif placed.is_loose:
            placed.is_loose = False
            placed.installed.tighten()
        return key

    def _install(self, key: Hashable, site: Site) -> None:
        try:
            self._check_requirement(site)
            installed = self._hooks.install(site, *self._steps_for(site))
        except RemoraError as error:
            self._refused[site.target] = str(error)
            return
        self._refused.pop(site.target, None)
        self._placed[key] = _Placed(site, installed)

    def _check_requirement(self, site: Site) -> None:
        if self._requires is None:
            return
        name, specifier = split_requirement(self._requires)
        module = self._store.find(site.module)
        if module is None or not module.distribution:
            raise RemoraError(
                f"requires {self._requires}, but no distribution is known"
            )
        if _normal(module.distribution) != _normal(name):
            raise RemoraError(
                f"requires {self._requires}, but {site.module} belongs to "
                f"{module.distribution} {module.version}"
            )
        if specifier and not version_matches(module.version, specifier):
            raise RemoraError(
                f"requires {self._requires}, but {module.version} is installed"
            )

    def remove(self) -> bool:
        """Take all steps away; False where another tool stands on top of one."""
        placed, self._placed = self._placed, {}
        self._meant.clear()
        self._refused.clear()
        self._reasons.clear()
        restored = guard.run(lambda: [at.installed.remove() for at in placed.values()])
        return all(restored)

    @property
    def site_count(self) -> int:
        """Sites that carry the steps."""
        return len(self._present())

    def _present(self) -> list[_Placed]:
        """What the app has not dropped: more may be gone than is forgotten."""
        placed = list(self._placed.values())
        return [at for at in placed if not at.installed.is_gone]

    def sites(self) -> tuple[SiteStatus, ...]:
        """The first sites and refusals, as a status shows them."""
        rows = [placed.status() for placed in self._present()[:SITES_SHOWN]]
        for target, reason in list(self._refused.items())[: SITES_SHOWN - len(rows)]:
            rows.append(SiteStatus(target, "", "none", reason))
        return tuple(rows)

    def state(self) -> tuple[State, str]:
        """Where this stands, and a sentence that says why."""
        waiting = [r for s, r in self._reasons.values() if s is ResolutionState.WAITING]
        problems = [r for s, r in self._reasons.values() if s is ResolutionState.FAILED]
        problems += list(self._refused.values())
        count = self.site_count
        places = f"installed at {count} place" + ("" if count == 1 else "s")
        if count and not problems:
            return State.INSTALLED, "; ".join([places, *waiting[:1]])
        if count:
            more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
            return State.PARTLY, f"{places}; not: {problems[0]}{more}"
        if problems:
            return State.FAILED, problems[0]
        return State.WAITING, waiting[0] if waiting else "nothing matches yet"


def split_requirement(text: str) -> tuple[str, str]:
    """`pymysql>=1.1` as name and version comparison."""
    for position, character in enumerate(text):
        if character in "<>=!":
            return text[:position].strip(), text[position:].strip()
    return text.strip(), ""


def _normal(name: str) -> str:
    """Names of distributions compare without case and separators (PEP 503)."""
    return name.lower().replace("_", "-").replace(".", "-")
