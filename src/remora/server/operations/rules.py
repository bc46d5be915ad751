"""Rules of protection: made, taken out, expired, each with its entry in the audit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from remora.protocol.rules import RULES_LIMIT
from remora.server.domain import (
    AuditEntry,
    GuardedApp,
    RuleOutcome,
    StoredRule,
    TooManyRulesError,
    UnknownRuleError,
    guarded_apps,
    make_rule,
    now_ns,
    place_of,
)
from remora.server.operations.probes import EXPIRY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from remora.server.operations.attacks import Attacks
    from remora.server.operations.instances import Instances
    from remora.server.store import Store


class Rules:
    """The rules, held in memory and written through to the store."""

    def __init__(self, store: Store, instances: Instances, attacks: Attacks) -> None:
        self._store = store
        self._instances = instances
        self._attacks = attacks
        self._rules: dict[str, StoredRule] = {}
        # One change at a time: what is pushed follows the order of what is stored.
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Read what the store has."""
        self._rules = {each.rule.id: each for each in await self._store.rules.all()}
        # The probes, which come next, are pushed together with these.
        self._instances.know_rules(self.all())

    def all(self) -> list[StoredRule]:
        """Every rule, the oldest first."""
        return list(self._rules.values())

    async def set(
        self,
        source: Mapping[str, str],
        *,
        app: str,
        expires: str,
        who: str,
        env: str = "",
        vulnerability: str = "",
    ) -> StoredRule:
        """Let a rule hold, in place of an earlier one for the same.

        With a vulnerability it is for that place in the code, in its app.
        Raises RuleError, ProbeError, TooManyRulesError, UnknownAttackError.
        """
        if vulnerability:
            found = await self._attacks.vulnerability(vulnerability)
            source = {**source, **place_of(found)}
            app = found.newest.app
        async with self._changing:
            made = make_rule(
                source, app=app, env=env, expires=expires, now=now_ns(), who=who
            )
            old = self._rules.pop(made.rule.id, None)
            if old is None and len(self._rules) >= RULES_LIMIT:
                raise TooManyRulesError(
                    f"there are {RULES_LIMIT} rules, the most that are kept: take "
                    "some out"
                )
            entry = AuditEntry(
                made.created,
                who,
                "rule-set",
                made.rule.id,
                old=None if old is None else old.to_json(),
                new=made.to_json(),
            )
            await self._store.rules.save(made, entry)
            self._rules[made.rule.id] = made
            await self._push()
        return made

    async def remove(self, rule_id: str, who: str) -> None:
        """Take a rule out. Raises UnknownRuleError."""
        async with self._changing:
            stored = self._rules.get(rule_id)
            if stored is None:
                raise UnknownRuleError(
                    f"there is no rule {rule_id[:60]!r}: it was removed, has expired, "
                    "or never was; list the rules"
                )
            await self._take_out(stored, who)

    async def expire(self) -> None:
        """Take out the rules whose time has come."""
        now = now_ns()
        for stored in self.all():
            if stored.rule.is_over(now):
                async with self._changing:
                    if self._rules.get(stored.rule.id) is stored:
                        await self._take_out(stored, EXPIRY)

    def with_outcomes(self) -> list[tuple[StoredRule, RuleOutcome]]:
        """Every rule with what the living instances say of it, the oldest first."""
        found = {each.rule.id: RuleOutcome() for each in self.all()}
        for known in self._instances.live():
            process, state = known.instance, self._instances.protection(known)
            told = {rule.id: rule for rule in state.rules} if state else {}
            for stored in self.all() if process.role == "serving" else ():
                if stored.is_for(process.app, process.env):
                    found[stored.rule.id].add(told.get(stored.rule.id))
        return [(each, found[each.rule.id]) for each in self.all()]

    def guarded(self) -> list[GuardedApp]:
        """How the apps are protected, as their living instances say."""
        return guarded_apps(
            (
                known,
                self._instances.protection(known),
                self._instances.has_heard(known),
            )
            for known in self._instances.live()
            if known.instance.role == "serving"
        )

    async def _take_out(self, stored: StoredRule, who: str) -> None:
        action = "rule-expire" if who == EXPIRY else "rule-remove"
        entry = AuditEntry(now_ns(), who, action, stored.rule.id, old=stored.to_json())
        await self._store.rules.remove(stored.rule.id, entry)
        del self._rules[stored.rule.id]
        await self._push()

    async def _push(self) -> None:
        await self._instances.rule(self.all(), await self._store.next_sequence())
