"""The pages of those who attack, and of whom apps are to refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

from remora.errors import ProbeError, WireError
from remora.server.pages.attacks import SPANS, apps, filter_of
from remora.server.pages.frame import address, see_other

if TYPE_CHECKING:
    from starlette.responses import Response

    from remora.server.pages.frame import Visit


async def users(visit: Visit) -> Response:
    """The page `/users`."""
    operations, asked = visit.operations, filter_of(visit)
    found = await operations.attacks.accounts(asked)
    return visit.page(
        "users.html",
        asked=asked,
        since=visit.asked("since"),
        spans=SPANS,
        rows=[(each, operations.blocks.of(each.app, each.actor)) for each in found],
        blocks=list(reversed(operations.blocks.all())),
        apps=apps(operations),
    )


async def user(visit: Visit) -> Response:
    """The page of one account."""
    # As it stands: blanks and length are part of the id that an app gave its user.
    asked = visit.request.query_params
    known = await visit.operations.attacks.account(
        asked.get("app", ""), asked.get("actor", "")
    )
    return visit.page(
        "user.html",
        known=known,
        account=known.account,
        vulnerabilities=[each.to_json() for each in known.vulnerabilities],
        attacks=[each.to_json() for each in known.attacks],
    )


async def block(visit: Visit) -> Response:
    """Block the actor of the form."""
    form = visit.form
    try:
        await visit.operations.blocks.add(
            _actor(visit),
            app=form.get("app", ""),
            reason=form.get("reason", "").strip(),
            expires=form.get("expires", ""),
            who=visit.caller.name,
        )
    except ProbeError as error:
        raise WireError(str(error)) from None
    return _back(visit)


async def unblock(visit: Visit) -> Response:
    """Take away the block of the form."""
    await visit.operations.blocks.remove(
        _actor(visit), app=visit.form.get("app", ""), who=visit.caller.name
    )
    return _back(visit)


def _actor(visit: Visit) -> str:
    """Whom a form means: as somebody wrote it, or as a page of ours did.

    Browsers change line ends and some characters of what they send; a user whose id
    has one could not be blocked if our pages did not encode it.
    """
    encoded = visit.form.get("encoded", "")
    return unquote(encoded) if encoded else visit.form.get("actor", "").strip()


def _back(visit: Visit) -> Response:
    """To the account that the form stood beside, else to all of them."""
    actor = unquote(visit.form.get("account", ""))
    if not actor:
        return see_other("/users")
    return see_other(
        address("/users/one", actor=actor, app=visit.form.get("account_app", ""))
    )
