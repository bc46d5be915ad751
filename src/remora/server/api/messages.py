"""The bodies that requests carry, as msgspec checks them. docs/protocol.md is the law.

Values that have a parser in `remora.protocol` stay undecoded mappings here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Json = Any
"""A value of the wire that its own parser will check."""

Id = Annotated[str, msgspec.Meta(max_length=100)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Revision = Annotated[int, msgspec.Meta(ge=0)]


class RegisterMessage(msgspec.Struct):
    """`POST /agent/v1/register`."""

    instance: Json


class StatusesMessage(msgspec.Struct):
    """`POST /agent/v1/statuses`."""

    instance: Id
    revision: Revision
    statuses: Annotated[list[Json], msgspec.Meta(max_length=2000)]
    cost: Json = None
    protection: Json = None


class BatchMessage(msgspec.Struct):
    """`POST /agent/v1/records`."""

    batch: Id
    instance: Id
    sent: int
    records: list[dict[str, Json]]
    drops: dict[str, int] = {}


class AnswerMessage(msgspec.Struct):
    """`POST /agent/v1/answers`."""

    instance: Id
    query: Id
    answer: dict[str, Json]


class GoodbyeMessage(msgspec.Struct):
    """`POST /agent/v1/goodbye`."""

    instance: Id
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""


class ProbeMessage(msgspec.Struct):
    """`POST` and `PUT` of a probe."""

    probe: Json


class PolicyMessage(msgspec.Struct):
    """`PUT /api/v1/policies`."""

    policy: Json


class PointsMessage(msgspec.Struct):
    """`POST /api/v1/points`."""

    pattern: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    app: str = ""
    env: str = ""
    instance: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class TokenMessage(msgspec.Struct):
    """`POST /api/v1/tokens`."""

    kind: Literal["agent", "operator"]
    name: Name
    app: Annotated[str, msgspec.Meta(max_length=200)] = ""
    access: Literal["read", "full"] = "full"


class BlockMessage(msgspec.Struct):
    """`POST /api/v1/blocks`."""

    actor: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    app: Annotated[str, msgspec.Meta(max_length=200)] = ""
    reason: Annotated[str, msgspec.Meta(max_length=500)] = ""
    expires: Annotated[str, msgspec.Meta(max_length=40)] = ""


class RuleMessage(msgspec.Struct, forbid_unknown_fields=True):
    """`POST /api/v1/rules`; what the texts may be is the rule's own business."""

    mode: str
    reason: str
    app: Annotated[str, msgspec.Meta(max_length=200)] = ""
    env: Annotated[str, msgspec.Meta(max_length=200)] = ""
    detector: str = ""
    route: str = ""
    parameter: str = ""
    place: str = ""
    line: str = ""
    expires: Annotated[str, msgspec.Meta(max_length=40)] = ""
    vulnerability: Annotated[str, msgspec.Meta(max_length=100)] = ""
