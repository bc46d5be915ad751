"""What browsers could be made to do to us: answered before any room is entered.

A page of another site can send requests to this server, or give its own name our
address (DNS rebinding). So a request must name a host that we serve, and a change must
come from one of our own pages. A request with an `Authorization` header was not made
by a browser on its own: its token decides.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from remora.server.domain import HostRefusedError, OriginRefusedError

if TYPE_CHECKING:
    from remora.server.config import ServerSettings

_SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class Perimeter:
    """The checks of Host and Origin."""

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._names = {"localhost", settings.host.lower()}
        self._public = urlsplit(settings.public_url)
        if self._public.hostname:
            self._names.add(self._public.hostname)

    def check(self, method: str, headers: Headers) -> None:
        """Raise HostRefusedError or OriginRefusedError where a request is foreign."""
        if "authorization" in headers:
            return
        host = headers.get("host", "")
        if not self._serves(host):
            raise HostRefusedError(
                f"this server does not serve the host {host[:100]!r}: use its address, "
                "or start it with public_url set to that name"
            )
        origin = headers.get("origin")
        if method not in _SAFE_METHODS and origin is not None:
            self._check_origin(origin, host)

    def _serves(self, host: str) -> bool:
        name = _host_name(host)
        if name in self._names:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # An address cannot be rebound; only a loopback server knows all of its own.
        return address.is_loopback or not self._settings.is_loopback

    def _check_origin(self, origin: str, host: str) -> None:
        parts = urlsplit(origin)
        public = (self._public.scheme, self._public.netloc)
        if parts.netloc and (parts.netloc.lower() == host.lower()):
            return
        if self._public.netloc and (parts.scheme, parts.netloc) == public:
            return
        raise OriginRefusedError(
            f"a page of {origin[:100]!r} sent this change: only this server's own "
            "pages may; set public_url if that is its address"
        )


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
