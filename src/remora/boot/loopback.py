"""What counts as this machine."""

from __future__ import annotations


def is_loopback(url: str) -> bool:
    """Whether the address can only mean this machine."""
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    if host.startswith("["):
        return host.startswith("[::1]")
    name = host.partition(":")[0]
    parts = name.split(".")
    is_address = len(parts) == 4 and all(part.isdecimal() for part in parts)
    return name == "localhost" or (is_address and parts[0] == "127")
