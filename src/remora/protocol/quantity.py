"""Quantities as people write them: durations, rates, shares, sizes.

Each parser takes the text and the name of the key it stands at, so that the error
can say where the mistake is.
"""

from __future__ import annotations

import re

from remora.errors import ProbeError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\Z")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(s|m|h)\Z")
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%\Z")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|KiB|MiB|GiB)\Z")
_BYTES = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}


def parse_duration(value: object, key: str) -> float:
    """Seconds of a text such as `250ms`, `10s`, `5m`, `1h` or `7d`."""
    if isinstance(value, str) and (match := _DURATION.match(value.strip())):
        seconds = float(match[1]) * _SECONDS[match[2]]
        if seconds > 0:
            return seconds
    raise ProbeError(
        f"{key} = {value!r} is no duration: write a positive number and a unit, "
        "for example '10s', '5m' or '1h'"
    )


def parse_rate(value: object, key: str) -> float:
    """Events a second of a text such as `10/s`, `30/m` or `1/h`."""
    if isinstance(value, str) and (match := _RATE.match(value.strip())):
        rate = float(match[1]) / _SECONDS[match[2]]
        if rate > 0:
            return rate
    raise ProbeError(
        f"{key} = {value!r} is no rate: write a positive number a second, minute or "
        "hour, for example '10/s' or '30/m'"
    )


def parse_share(value: object, key: str) -> float:
    """Fraction between 0 and 1 of a text such as `10%`."""
    if isinstance(value, str) and (match := _SHARE.match(value.strip())):
        share = float(match[1]) / 100.0
        if 0 < share <= 1:
            return share
    raise ProbeError(
        f"{key} = {value!r} is no share: write a percentage above 0% and up to 100%, "
        "for example '10%'"
    )


def parse_size(value: object, key: str) -> int:
    """Bytes of a text such as `512KiB`, `8MiB` or `2GB`."""
    if isinstance(value, str) and (match := _SIZE.match(value.strip())):
        size = int(float(match[1]) * _BYTES[match[2]])
        if size > 0:
            return size
    raise ProbeError(
        f"{key} = {value!r} is no size: write a positive number and a unit, "
        "for example '8MiB' or '2GB'"
    )


def format_duration(seconds: float) -> str:
    """The shortest text that `parse_duration` reads back as `seconds`."""
    if seconds < 1:
        return f"{format_number(seconds * 1000)}ms"
    for unit in ("d", "h", "m"):
        if seconds % _SECONDS[unit] == 0:
            return f"{format_number(seconds / _SECONDS[unit])}{unit}"
    return f"{format_number(seconds)}s"


def format_rate(per_second: float) -> str:
    """The text that `parse_rate` reads back as `per_second`."""
    for unit in ("s", "m"):
        if per_second * _SECONDS[unit] >= 1:
            return f"{format_number(per_second * _SECONDS[unit])}/{unit}"
    return f"{format_number(per_second * 3600)}/h"


def format_share(share: float) -> str:
    """The text that `parse_share` reads back as `share`."""
    return f"{format_number(share * 100)}%"


def format_number(number: float) -> str:
    """A number as people write it: never with an exponent, which no parser here reads.

    Nine places hide what binary fractions add and keep all that anybody wrote.
    """
    return f"{number:.9f}".rstrip("0").rstrip(".")
