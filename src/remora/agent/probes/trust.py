"""Whether a server's acting probe is what the operator signed, for this app, just now.

A probe without a signature is trusted where a policy that the operator signed grants
what it does, at the places that the policy names, and as long as the policy holds.

Runs in the agent's thread, for probes of an app that has a public key: those that need
trust, and all that are signed, for a later signature replaces an earlier one. The
library that verifies is imported when the first of them arrives, never at the start.
Each refusal is a status, a record and a line in the agent's log: a server that lies
may keep the first two to itself.
"""

from __future__ import annotations

from binascii import a2b_base64
from typing import TYPE_CHECKING

from remora.agent.probes.ledger import POLICY, Ledger
from remora.agent.runtime import originals
from remora.agent.targets import compiled_home
from remora.errors import RemoraError
from remora.protocol import PREFIX, signed_bytes
from remora.protocol.policy import parse_policy, policy_bytes
from remora.values import frozen, replace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from remora.agent.diagnostics import Diagnostics
    from remora.agent.targets import Site
    from remora.protocol import Instance, Probe, Signature, TargetSet
    from remora.protocol.policy import Policy


_REASON_LIMIT = 500
"""Characters of a reason: it may quote what a server sent."""


@frozen
class Terms:
    """What bounds an unsigned probe that a policy grants: its places and its end.

    `below` is the signed probe that it raises: that stands where it may not.
    """

    targets: TargetSet
    expires_at: int
    covers_compiled: bool = False
    below: Probe | None = None

    def cover(self, site: Site) -> bool:
        """Whether the probe may act at this place.

        A name can lead anywhere: to a C function that everybody calls, to a method of
        another library. So the function that would be diverted counts as well, by the
        module whose names it sees. What is not written in Python says no such thing;
        protection, whose sinks are mostly of C, goes by what such a function calls
        itself, and by that alone.
        """
        function = site.function
        if function is None:
            home, path = compiled_home(site.holder)
            return self.covers_compiled and bool(home) and self._mean(home, path)
        home = dict.get(function.__globals__, "__name__")
        return (
            type(home) is str
            and self._mean(home, function.__qualname__)
            and self._mean(site.module, site.qualname)
        )

    def _mean(self, module: str, path: str) -> bool:
        targets = self.targets
        return not targets.excludes(module, path) and any(
            target.matches(module, path) for target in targets.include
        )


class Trust:
    """The keys that count here, and the highest number seen of each probe.

    `state` is the file that keeps these numbers over restarts, and what was signed;
    empty for none.
    """

    def __init__(
        self,
        keys: Iterable[str],
        put: Callable[[tuple[object, ...], int, bool], bool],
        diagnostics: Diagnostics,
        state: str = "",
    ) -> None:
        self._keys = frozenset(keys)
        self._put = put
        self._diagnostics = diagnostics
        self.ledger = Ledger(state, diagnostics)
        self._vouched: dict[str, Probe] = {}
        self._policy: Policy | None = None
        self._complaint = ""

    def accept_policy(self, value: object, instance: Instance) -> bool:
        """Take in a server's policy; whether it is news that holds from now on.

        One that may not be trusted changes nothing; it is reported once.
        """
        try:
            policy = parse_policy(value)
            reason = self._against(policy, instance)
        except RemoraError as error:
            policy, reason = None, str(error)[:_REASON_LIMIT]
        except RecursionError:
            policy, reason = None, "it is nested too deeply"
        if reason:
            if reason != self._complaint:
                self._complaint = reason
                self.report(f"a policy is refused: {reason}")
            return False
        assert policy is not None
        assert policy.signature is not None
        is_news = policy != self._policy
        self._policy = policy
        self.ledger.accept(POLICY, policy.signature.sequence)
        self.ledger.save()
        return is_news

    def _against(self, policy: Policy, instance: Instance) -> str:
        """Why this policy is not to be trusted; empty where it is."""
        signature = policy.signature
        if signature is None:
            return "it is not signed: sign it with `remora key policy`"
        if reason := self._flaw(signature, policy_bytes(policy)):
            return reason
        if reason := policy.scope.refusal(instance, "policy"):
            return f"it is signed for others: {reason}"
        return self._past(POLICY, signature)

    def terms(
        self, probes: Iterable[Probe], words: Mapping[str, Probe]
    ) -> dict[str, Terms]:
        """By id, what bounds those that are here by the policy alone.

        `words` are the signed probes that are kept.
        """
        policy = self._policy
        if policy is None or policy.signature is None:
            return {}
        targets, end = policy.target, policy.signature.expires_at
        return {
            probe.id: Terms(
                targets,
                end,
                covers_compiled=probe.protect is not None,
                below=words.get(probe.id),
            )
            for probe in probes
            if probe.signature is None and probe.needs_trust
        }

    def against(self, deed: str) -> str:
        """Why this app does not take from its server what has no place in the code.

        Empty where the policy grants it.
        """
        policy = self._policy
        if policy is None or policy.signature is None:
            reason = "it has a REMORA_PUBLIC_KEY and no policy"
        elif policy.signature.expires_at <= originals.time_ns():
            reason = "the policy has expired"
        elif deed not in policy.unsigned:
            granted = ", ".join(policy.unsigned) or "nothing"
            reason = f"the policy grants {granted} and not {deed}"
        else:
            return ""
        return f"{reason}: grant it with `remora key policy`"

    def ends_between(self, before: int, now: int) -> bool:
        """Whether the policy, or a signature that counts here, ended in that time."""
        signatures = [probe.signature for probe in self._vouched.values()]
        if self._policy is not None:
            signatures.append(self._policy.signature)
        return any(each and before < each.expires_at <= now for each in signatures)

    def refuse_all(self, probes: Iterable[Probe], instance: Instance) -> dict[str, str]:
        """The reasons by id, each reported; nothing for a probe that may be trusted.

        Who only looks needs no signature; one that is good makes its number the last.
        """
        refused: dict[str, str] = {}
        for probe in probes:
            if probe.signature is None and not probe.needs_trust:
                continue
            reason = self.refusal(probe, instance)
            if reason and probe.needs_trust:
                refused[probe.id] = reason
                self.report(f"refused: {reason}", probe)
        # Before anything acts: nothing earlier may follow it, whatever comes between.
        self.ledger.save()
        return refused

    def remember(
        self, in_force: Mapping[str, Probe], words: Mapping[str, Probe]
    ) -> None:
        """Keep the signed probes for a start without a server.

        `words` are those that are kept, maybe below what raises them. An override is
        not: none comes back by itself after a death that it may have caused.
        """
        held: dict[str, Probe] = {}
        for name, probe in in_force.items():
            word = probe if self.vouches_for(probe) else words.get(name, probe)
            if self.vouches_for(word) and not word.may_be_held:
                held[name] = word
        self.ledger.hold(held)
        self.ledger.save()

    def refuse_recalled(
        self, probes: Iterable[Probe], instance: Instance
    ) -> dict[str, str]:
        """The reasons by id against probes from a file, each reported.

        All have to be signed well, also those that only look: nobody else vouches for
        them.
        """
        refused: dict[str, str] = {}
        for probe in probes:
            if probe.may_be_held:
                reason = "it changes what the app does: only a server can give it"
            else:
                reason = self.refusal(probe, instance)
            if reason:
                refused[probe.id] = reason
                self.report(f"refused: {reason}", probe)
        return refused

    def vouches_for(self, probe: Probe) -> bool:
        """Whether this very probe was accepted for its signature, which still holds."""
        signature = probe.signature
        return (
            signature is not None
            and self._vouched.get(probe.id) == replace(probe, expires_at=0)
            and signature.expires_at > originals.time_ns()
        )

    def refusal(self, probe: Probe, instance: Instance) -> str:
        """Why this probe is not to be trusted; empty where it is."""
        signature = probe.signature
        if signature is None:
            return self._ungranted(probe)
        if reason := self._flaw(signature, signed_bytes(probe)):
            return reason
        if reason := probe.scope.refusal(instance, probe.id):
            return f"it is signed for others: {reason}"
        if reason := self._past(probe.id, signature):
            return reason
        self.ledger.accept(probe.id, signature.sequence)
        self._vouched[probe.id] = replace(probe, expires_at=0)  # that is not signed
        return ""

    def _past(self, identifier: str, signature: Signature) -> str:
        """Why a signature is not the latest word; empty where it is."""
        seen = self.ledger.highest(identifier)
        if signature.sequence < seen:
            return (
                f"it is an earlier version (number {signature.sequence}, and {seen} "
                "was here before): sign it again"
            )
        # what was accepted before this process may stand in the file alone
        return self.ledger.complaint

    def _ungranted(self, probe: Probe) -> str:
        """Why a probe without a signature is not to be trusted."""
        deed = "changes what the app does" if probe.acts else "opens request contexts"
        reason = f"it {deed} and is not signed, and the app has a REMORA_PUBLIC_KEY"
        policy = self._policy
        if policy is None or policy.signature is None:
            return f"{reason}: sign it with `remora probe sign`"
        if policy.signature.expires_at <= originals.time_ns():
            return f"{reason}; the policy has expired: sign either of them"
        if deed := policy.ungranted(probe):
            granted = ", ".join(policy.unsigned) or "nothing"
            return f"{reason}; the policy grants {granted} and not {deed}: sign it"
        return ""

    def _flaw(self, signature: Signature, message: bytes) -> str:
        """What is wrong with a signature of this message; empty where nothing is."""
        if signature.key not in self._keys:
            return (
                f"it is signed with {signature.key}, which is not in this app's "
                "REMORA_PUBLIC_KEY"
            )
        if reason := _mismatch(signature, message):
            return reason
        if signature.expires_at <= originals.time_ns():
            return "its signature has expired: sign it again"
        return ""

    def report(self, message: str, probe: Probe | None = None) -> None:
        """Record what a server has tried, and say it in the agent's own log."""
        self._diagnostics.count("distrusted")
        about, name, target = "the server", "", ""
        if probe is not None:
            name, target = probe.id, probe.target.texts[0]
            about = f"probe {name!r}"
        self._diagnostics.say_once(f"{about}: {message}")
        record = (make_refusal, name, target, message, originals.time_ns())
        self._put(record, 500, True)


def make_refusal(
    probe_id: str, target: str, message: str, time: int
) -> dict[str, object]:
    """The record of docs/protocol.md, kind refusal."""
    return {
        "kind": "refusal",
        "time": time,
        "probe": probe_id,
        "site": target,
        "message": message,
    }


def _mismatch(signature: Signature, message: bytes) -> str:
    """Why the signature does not belong to this message; empty where it does."""
    try:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError as error:
        return (
            f"no signature can be verified here ({error}): pip install "
            "'remora[signing]' in the app's environment"
        )
    try:
        key = a2b_base64(signature.key.removeprefix(PREFIX))
        verifier = ed25519.Ed25519PublicKey.from_public_bytes(key)
        verifier.verify(a2b_base64(signature.proof), message)
    except InvalidSignature:
        return "it is not what was signed: it or its signature was altered"
    except (ValueError, UnsupportedAlgorithm) as error:
        return f"its signature cannot be verified: {error}"
    return ""
