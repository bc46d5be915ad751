"""Answers of the API, and the parameters in its addresses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from remora.errors import WireError

if TYPE_CHECKING:
    from starlette.requests import Request


def answer(value: object, status: int = 200) -> Response:
    """`value` as JSON."""
    return Response(
        msgspec.json.encode(value),
        status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def no_content() -> Response:
    """The answer to what needs none."""
    return Response(status_code=204)


def number_parameter(
    request: Request, name: str, default: int | None, *, highest: int = 2**62
) -> int | None:
    """A whole number from the address. Raises WireError."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise WireError(f"{name} = {text[:40]!r} is no whole number")
    return min(int(text), highest)
