"""The page of protection: what is guarded, and the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.errors import ProbeError, WireError
from remora.protocol.protect import FAMILIES
from remora.server.pages.attacks import apps
from remora.server.pages.frame import see_other

if TYPE_CHECKING:
    from starlette.responses import Response

    from remora.server.pages.frame import Visit

_SOURCE = ("detector", "route", "parameter", "mode", "reason")


async def protection(visit: Visit) -> Response:
    """The page `/protection`."""
    operations, app = visit.operations, visit.asked("app")
    guarded = [each for each in operations.rules.guarded() if app in {"", each.app}]
    return visit.page(
        "protection.html",
        app=app,
        guarded=[each.to_json() for each in guarded],
        rules=operations.rules.with_outcomes()[::-1],
        apps=apps(operations),
        detectors=FAMILIES,
    )


async def set_rule(visit: Visit) -> Response:
    """Let the rule of the form hold."""
    form = visit.form
    given = {key: form.get(key, "").strip() for key in _SOURCE}
    vulnerability = form.get("vulnerability", "")
    try:
        await visit.operations.rules.set(
            {key: text for key, text in given.items() if text},
            app=form.get("app", ""),
            env=form.get("env", "").strip(),
            expires=form.get("expires", ""),
            who=visit.caller.name,
            vulnerability=vulnerability,
        )
    except ProbeError as error:
        raise WireError(str(error)) from None
    return see_other(
        f"/vulnerabilities/{vulnerability}" if vulnerability else "/protection"
    )


async def remove_rule(visit: Visit) -> Response:
    """Take a rule out."""
    await visit.operations.rules.remove(
        visit.request.path_params["id"], visit.caller.name
    )
    return see_other("/protection")
