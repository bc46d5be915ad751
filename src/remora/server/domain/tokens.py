"""Tokens and those who present them. Only a token's digest is ever stored."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from enum import Enum

PREFIXES = {"agent": "rma_", "operator": "rmo_"}


class TokenKind(Enum):
    """Who a token is made for."""

    AGENT = "agent"
    OPERATOR = "operator"


class Access(Enum):
    """What an operator may do: look, or change as well."""

    READ = "read"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is stored: `app` binds an agent's, `access` an operator's."""

    id: str
    kind: TokenKind
    name: str
    digest: bytes
    created: int
    created_by: str
    app: str = ""
    access: Access = Access.FULL

    def to_json(self) -> dict[str, object]:
        """What an operator is shown of it; never the digest."""
        table: dict[str, object] = {
            "id": self.id,
            "kind": self.kind.value,
            "name": self.name,
            "created": self.created,
            "created_by": self.created_by,
        }
        if self.kind is TokenKind.AGENT:
            table["app"] = self.app
        else:
            table["access"] = self.access.value
        return table


@dataclass(frozen=True, slots=True)
class Session:
    """A browser that has logged in with an operator's token."""

    digest: bytes
    token_id: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is behind a request: the token, and whether a cookie stood for it."""

    token: Token
    by_cookie: bool = False

    @property
    def name(self) -> str:
        """The name that the audit table keeps."""
        return self.token.name

    @property
    def may_write(self) -> bool:
        """Whether this caller may change anything."""
        return (
            self.token.kind is TokenKind.OPERATOR and self.token.access is Access.FULL
        )


def new_token_text(kind: TokenKind) -> str:
    """A token nobody has: its prefix and 256 random bits."""
    return PREFIXES[kind.value] + secrets.token_urlsafe(32)


def new_token_id() -> str:
    """The name under which a token can be deleted; it gives nothing away."""
    return secrets.token_hex(4)


def token_digest(text: str) -> bytes:
    """What is stored of a token or session. 256 random bits need no slow hash."""
    return hashlib.sha256(text.encode()).digest()


def same_digest(first: bytes, second: bytes) -> bool:
    """Whether two digests are equal, in a time that tells nothing about them."""
    return hmac.compare_digest(first, second)
