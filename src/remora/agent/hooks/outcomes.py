"""How an outcome, which is what a hook asks for, is carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.agent.hooks.call import Call
from remora.expression import MISSING
from remora.outcomes import Arguments, Raise, Return

if TYPE_CHECKING:
    from remora.agent.interception import AppValue

# The methods themselves: the names in their types may be diverted.
_index = tuple.index
_pop, _update, _items = dict.pop, dict.update, dict.items


class Driver:
    """How a trampoline carries an outcome out.

    No builtin is called here, not even `isinstance`: this runs outside of any guard,
    and that builtin may be the very one that is diverted.
    """

    arguments = Arguments
    call = Call
    unbound: AppValue = MISSING

    @staticmethod
    def give(outcome: object) -> AppValue:
        """Return what the outcome returns, or raise what it raises."""
        if outcome.__class__ is Raise:
            raise outcome.error  # pyright: ignore[reportAttributeAccessIssue] - see class
        return outcome.value  # pyright: ignore[reportAttributeAccessIssue] - see class

    @staticmethod
    def rebind(
        outcome: object,
        names: tuple[str, ...],
        stars: tuple[str, str],
        args: tuple[AppValue, ...],
        kwargs: dict[str, AppValue],
    ) -> tuple[tuple[AppValue, ...], dict[str, AppValue]]:
        """The arguments of the call with those of the outcome in place."""
        changed = [*args]
        wanted: dict[str, AppValue] = outcome.values  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType] - ARGUMENTS
        for name, value in _items(wanted):
            position = _index(names, name) if name in names else -1
            if 0 <= position < changed.__len__():
                changed[position] = value
            elif position == changed.__len__():
                changed += [value]
                _pop(kwargs, name, None)
            elif name == stars[0]:
                changed[names.__len__() :] = value
            elif name == stars[1]:
                _update(kwargs, value)
            else:
                kwargs[name] = value
        return (*changed,), kwargs  # tuple itself may be diverted


def refusal(
    outcome: object, phase: str, names: frozenset[str], stars: tuple[str, str]
) -> str:
    """Why a hook's result cannot be carried out; empty when it can.

    `names` are the parameters that can be changed by name; `stars` are the names of the
    target's `*` and `**` parameters, or "".
    """
    kind = type(outcome)  # not __class__: any object may lie about that, or raise
    if kind is Return or kind is Raise:
        return ""
    if kind is not Arguments:
        return (
            f"the hook returned a {kind.__name__}: return None, remora.Return(…), "
            "remora.Raise(…) or remora.Arguments(…)"
        )
    assert isinstance(outcome, Arguments)
    if phase != "pre":
        return "remora.Arguments can only be returned by a pre hook"
    for name, kinds in zip(stars, ((tuple, list), (dict,)), strict=True):
        if name and type(outcome.values.get(name, kinds[0]())) not in kinds:
            return f"remora.Arguments takes {name} as a {kinds[0].__name__}"
    if stars[1]:
        return ""
    unknown = [name for name in outcome.values if name not in {*names, stars[0]}]
    if unknown:
        return f"remora.Arguments names {unknown[0]!r}, which is no parameter there"
    return ""
