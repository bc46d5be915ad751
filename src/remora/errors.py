"""Every exception that a user of remora can meet.

Each class has a slug; docs/messages.md has a paragraph under it. A message says
what happened, with which value, and what to do.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class RemoraError(Exception):
    """Something remora was asked for cannot be done."""

    slug = "remora-error"
    exit_status = 1


class ConfigError(RemoraError):
    """A setting has a value that cannot be used."""

    slug = "bad-setting"


class TargetError(RemoraError):
    """The text of a target cannot be understood."""

    slug = "bad-target"


class ExpressionError(RemoraError):
    """A condition or template is not in the expression language."""

    slug = "bad-expression"


class ProbeError(RemoraError):
    """A probe has a key or a value that cannot be used; nothing was installed."""

    slug = "bad-probe"


class UnknownKeyError(ProbeError):
    """A probe has a key that this version does not know."""

    slug = "unknown-probe-key"


class RuleError(RemoraError):
    """A rule of protection has a key or a value that cannot be used."""

    slug = "bad-rule"


class ProbeFileError(RemoraError):
    """A file of probes cannot be read."""

    slug = "bad-probe-file"


class HookError(RemoraError):
    """A hook cannot be installed as it was written."""

    slug = "bad-hook"


class CannotInterceptError(RemoraError):
    """No mechanism can divert calls of this target in this process."""

    slug = "cannot-intercept"


class Blocked(RemoraError):  # noqa: N818 - the public name; it is a decision, not an error
    """A protect probe in mode block refused this call."""

    slug = "blocked"


class WireError(RemoraError):
    """A message on the wire is not what docs/protocol.md says."""

    slug = "bad-message"


class ServerUnreachableError(RemoraError):
    """The server did not answer."""

    slug = "server-unreachable"


class TokenRefusedError(RemoraError):
    """The server does not accept this token for this request."""

    slug = "token-refused"


class RequestRefusedError(RemoraError):
    """The server understood the request and refused it."""

    slug = "request-refused"


class MissingExtraError(RemoraError):
    """This command needs an extra that is not installed."""

    slug = "missing-extra"


class CommandError(RemoraError):
    """A command cannot be carried out as it was given."""

    slug = "bad-command"


class UsageError(RemoraError):
    """The words of a command cannot be understood."""

    slug = "bad-usage"
    exit_status = 2


class CommandNotFoundError(CommandError):
    """The command to run does not exist."""

    slug = "command-not-found"
    exit_status = 127


class AttachError(RemoraError):
    """A process cannot be attached to, for what it is or for the state it is in."""

    slug = "cannot-attach"


class NoSuchProcessError(AttachError):
    """There is no process of that number, or none any more."""

    slug = "no-such-process"


class AttachRefusedError(AttachError):
    """The kernel does not let this command trace that process."""

    slug = "attach-refused"


class AttachTimeoutError(AttachError):
    """A process did not take the agent in the time given."""

    slug = "attach-timed-out"


class AgentNotStartedError(AttachError):
    """The agent got into a process and could not start there."""

    slug = "agent-not-started"


def suggest(name: str, candidates: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the nearest candidate, or nothing.

    difflib is imported where somebody errs: it costs a start more than it is worth.
    """
    from difflib import get_close_matches

    close = get_close_matches(name, list(candidates), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
