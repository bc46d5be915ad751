"""What a hook may ask for, as its return value.

These classes belong to the app as much as to us: it imports them, and they outlive a
`stop()`, so they depend on nothing of the agent.
"""

from __future__ import annotations

from remora.errors import HookError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    AppValue = Any


class Outcome:
    """What a hook asks for; returning None instead lets the call proceed."""

    __slots__ = ()


class Arguments(Outcome):
    """Proceed with other arguments: `remora.Arguments(quantity=1)`. Only from `pre`."""

    __slots__ = ("values",)

    def __init__(self, **values: AppValue) -> None:
        self.values = values

    def __repr__(self) -> str:
        return f"Arguments({', '.join(self.values)})"


class Return(Outcome):
    """End the call with this value: without running it, or instead of what it gave."""

    __slots__ = ("value",)

    def __init__(self, value: AppValue) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Return(…)"


class Raise(Outcome):
    """End the call with this exception."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        if not isinstance(error, BaseException):
            raise HookError(
                f"remora.Raise takes an exception, not a {type(error).__name__}: "
                "write remora.Raise(ValueError('…'))"
            )
        self.error = error

    def __repr__(self) -> str:
        return f"Raise({type(self.error).__name__})"
