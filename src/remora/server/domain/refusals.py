"""What a request can be refused with: slugs, sentences, and the status of HTTP."""

from __future__ import annotations

from remora.errors import (
    ConfigError,
    ExpressionError,
    ProbeError,
    RemoraError,
    RuleError,
    TargetError,
    TokenRefusedError,
    WireError,
)


class UnknownInstanceError(RemoraError):
    """The server has never seen this instance, or has forgotten it."""

    slug = "unknown-instance"


class DuplicateProbeError(RemoraError):
    """There is a probe of this id already."""

    slug = "duplicate-probe"


class UnknownProbeError(RemoraError):
    """There is no probe of this id."""

    slug = "unknown-probe"


class UnknownTokenError(RemoraError):
    """There is no token of this id."""

    slug = "unknown-token"


class UnknownAttackError(RemoraError):
    """There is no attack or vulnerability of this id, or nobody of this name."""

    slug = "unknown-attack"


class UnknownBlockError(RemoraError):
    """Nobody of this name is blocked in this app."""

    slug = "unknown-block"


class TooManyBlocksError(RemoraError):
    """There are as many blocks as the server keeps."""

    slug = "too-many-blocks"


class UnknownRuleError(RemoraError):
    """There is no rule of this id."""

    slug = "unknown-rule"


class TooManyRulesError(RemoraError):
    """There are as many rules as the server keeps."""

    slug = "too-many-rules"


class TooLargeError(RemoraError):
    """A body is larger than the wire allows."""

    slug = "too-large"


class NoInstanceError(RemoraError):
    """No connected instance could be asked."""

    slug = "no-instance"


class NoAnswerError(RemoraError):
    """An instance was asked and did not answer in time."""

    slug = "no-answer"


class TokenMissingError(TokenRefusedError):
    """A request came without a token that the server knows."""


class TokenForbiddenError(TokenRefusedError):
    """The token is known, but not allowed this."""


class ProtocolVersionError(RemoraError):
    """An agent speaks a version of the wire that the server does not."""

    slug = "protocol-version"


class HostRefusedError(RemoraError):
    """A request names a host that this server does not serve."""

    slug = "host-refused"


class OriginRefusedError(RemoraError):
    """A page of another site sent this request."""

    slug = "origin-refused"


class CsrfRefusedError(RemoraError):
    """A change by cookie came without the token of its page."""

    slug = "csrf-refused"


class NoSuchAddressError(RemoraError):
    """Nothing is served under this path, or not with this method."""

    slug = "no-such-address"


class BusyError(RemoraError):
    """The server is stopping, or its store does not answer."""

    slug = "server-busy"


_STATUSES: dict[type[RemoraError], int] = {
    ConfigError: 400,
    ExpressionError: 400,
    ProbeError: 400,
    RuleError: 400,
    TargetError: 400,
    WireError: 400,
    TokenMissingError: 401,
    TokenForbiddenError: 403,
    OriginRefusedError: 403,
    CsrfRefusedError: 403,
    UnknownProbeError: 404,
    UnknownTokenError: 404,
    UnknownAttackError: 404,
    UnknownBlockError: 404,
    UnknownRuleError: 404,
    NoInstanceError: 404,
    NoSuchAddressError: 404,
    UnknownInstanceError: 409,
    DuplicateProbeError: 409,
    TooManyBlocksError: 409,
    TooManyRulesError: 409,
    TooLargeError: 413,
    HostRefusedError: 421,
    ProtocolVersionError: 426,
    BusyError: 503,
    NoAnswerError: 504,
}


def http_status(error: RemoraError) -> int:
    """The status that an answer with `error` has; 500 where no request is at fault."""
    for kind in type(error).__mro__:
        if kind in _STATUSES:
            return _STATUSES[kind]
    return 500
