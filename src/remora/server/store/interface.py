"""What the server asks of a store, whatever keeps the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from remora.protocol import Status
    from remora.protocol.policy import Policy
    from remora.server.domain import (
        Account,
        AttackFilter,
        AuditEntry,
        Batch,
        Block,
        KnownInstance,
        RecordFilter,
        Session,
        StoredAttack,
        StoredProbe,
        StoredRecord,
        StoredRule,
        Token,
        Touched,
        Vulnerability,
    )


class InstanceStore(Protocol):
    """Instances, and what they say they had to drop."""

    async def all(self) -> list[KnownInstance]:
        """Every instance, the longest known first."""
        ...

    async def save(self, known: Sequence[KnownInstance]) -> None:
        """Keep these, in place of older rows of the same ids."""
        ...

    async def forget(self, ids: Sequence[str]) -> None:
        """Remove these with their statuses and drops; their records stay."""
        ...

    async def drops(self) -> dict[str, dict[str, int]]:
        """Dropped records by instance and reason."""
        ...


class ProbeStore(Protocol):
    """Probes, and their statuses in the instances."""

    async def all(self) -> list[StoredProbe]:
        """Every probe, the oldest first."""
        ...

    async def add(self, stored: StoredProbe, entry: AuditEntry) -> None:
        """Keep a new probe. Raises DuplicateProbeError."""
        ...

    async def replace(self, stored: StoredProbe, entry: AuditEntry) -> None:
        """Put a probe in place of its earlier version, whose statuses go."""
        ...

    async def remove(self, probe_id: str, entry: AuditEntry) -> None:
        """Take out a probe with its statuses; its records stay."""
        ...

    async def policies(self) -> list[Policy]:
        """Every policy, the one for all apps last."""
        ...

    async def save_policy(self, policy: Policy, entry: AuditEntry) -> None:
        """Keep a policy in place of the earlier one of its app."""
        ...

    async def save_statuses(self, instance: str, statuses: Sequence[Status]) -> None:
        """Keep these, in place of the instance's earlier ones of the same probes."""
        ...

    async def drop_statuses(self, instance: str, probes: Sequence[str]) -> None:
        """Forget what an instance said of these probes."""
        ...

    async def statuses(self, probe_id: str) -> list[tuple[str, Status]]:
        """The statuses of a probe, each with its instance."""
        ...

    async def states(self) -> list[tuple[str, str, str, int]]:
        """Probe, instance, state and firings of every status."""
        ...


class RecordStore(Protocol):
    """Records, the batches they came in, and their removal by age and size."""

    async def ingest(self, batch: Batch, now: int) -> bool:
        """Store a batch; False if it had been stored before and nothing was done."""
        ...

    async def find(self, wanted: RecordFilter) -> list[StoredRecord]:
        """The records that are asked for, at most `wanted.limit` of them."""
        ...

    async def counts(self) -> dict[str, int]:
        """Records that ever arrived, by probe."""
        ...

    async def prune(self, before: int, max_size_bytes: int) -> int:
        """Remove what came before that time, then the oldest above that size."""
        ...

    async def prune_batches(self, before: int) -> None:
        """Forget the ids of batches that came before that time."""
        ...


class AttackStore(Protocol):
    """Attacks, which come in with the records and stay for longer."""

    async def find(self, wanted: AttackFilter) -> list[StoredAttack]:
        """The attacks that are asked for, newest first."""
        ...

    async def get(self, attack_id: int) -> StoredAttack | None:
        """One attack, where it is kept."""
        ...

    async def vulnerabilities(self, wanted: AttackFilter) -> list[Vulnerability]:
        """The same attacks by vulnerability, the one attacked last first."""
        ...

    async def accounts(self, wanted: AttackFilter) -> list[Account]:
        """The same attacks by app and actor, who attacked last first."""
        ...

    async def touched(self, app: str, actor: str) -> list[Touched]:
        """The routes of an account: in its attacks, and in records of its user."""
        ...

    async def prune(self, before: int, max_size_bytes: int) -> int:
        """Remove what came before that time, then the oldest above that size."""
        ...


class BlockStore(Protocol):
    """Whom apps are to refuse."""

    async def all(self) -> list[Block]:
        """Every block, the oldest first."""
        ...

    async def save(self, block: Block, entry: AuditEntry) -> None:
        """Keep a block, in place of an earlier one of the same actor and app."""
        ...

    async def remove(self, block: Block, entry: AuditEntry) -> None:
        """Take out a block."""
        ...


class RuleStore(Protocol):
    """The rules of protection."""

    async def all(self) -> list[StoredRule]:
        """Every rule, the oldest first."""
        ...

    async def save(self, stored: StoredRule, entry: AuditEntry) -> None:
        """Keep a rule, in place of an earlier one of its id."""
        ...

    async def remove(self, rule_id: str, entry: AuditEntry) -> None:
        """Take out a rule."""
        ...


class AccessStore(Protocol):
    """Tokens, sessions, and the audit table."""

    async def tokens(self) -> list[Token]:
        """Every token, the oldest first."""
        ...

    async def add_token(self, token: Token, entry: AuditEntry) -> None:
        """Keep a new token."""
        ...

    async def remove_token(self, token_id: str, entry: AuditEntry) -> None:
        """Remove a token and the sessions opened with it."""
        ...

    async def sessions(self) -> list[Session]:
        """Every session, expired ones too."""
        ...

    async def add_session(self, session: Session) -> None:
        """Keep a new session."""
        ...

    async def remove_sessions(self, digests: Sequence[bytes]) -> None:
        """Remove these sessions."""
        ...

    async def audit(self, limit: int) -> list[AuditEntry]:
        """The newest changes, newest first."""
        ...


class Store(Protocol):
    """Everything the server keeps."""

    @property
    def instances(self) -> InstanceStore:
        """Instances and drops."""
        ...

    @property
    def probes(self) -> ProbeStore:
        """Probes and statuses."""
        ...

    @property
    def records(self) -> RecordStore:
        """Records and batches."""
        ...

    @property
    def attacks(self) -> AttackStore:
        """Attacks."""
        ...

    @property
    def blocks(self) -> BlockStore:
        """Blocks."""
        ...

    @property
    def rules(self) -> RuleStore:
        """Rules of protection."""
        ...

    @property
    def access(self) -> AccessStore:
        """Tokens, sessions and the audit table."""
        ...

    async def next_sequence(self) -> int:
        """A number above all it ever gave out."""
        ...

    async def sizes(self) -> Mapping[str, int]:
        """Bytes in use, records and attacks kept."""
        ...

    def close(self) -> None:
        """Finish what is under way and close."""
        ...
