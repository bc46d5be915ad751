"""Reading what a server answered: total, so that no answer can break a command.

Another server's version may leave a key out or send it in another type; the command
then shows nothing there instead of failing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

JsonObject = Mapping[str, object]


def get_text(table: JsonObject, key: str) -> str:
    """The text at `key`; numbers as text; empty where there is none."""
    value = table.get(key)
    if value is None or isinstance(value, (dict, list)):
        return ""
    return str(value)


def get_number(table: JsonObject, key: str) -> int:
    """The whole number at `key`, or 0."""
    value = table.get(key)
    return value if isinstance(value, int) and value is not True else 0


def get_object(table: JsonObject, key: str) -> JsonObject:
    """The object at `key`, or an empty one."""
    value = table.get(key)
    return value if isinstance(value, Mapping) else {}


def get_objects(table: JsonObject, key: str) -> list[JsonObject]:
    """The objects of the list at `key`."""
    value = table.get(key)
    if not isinstance(value, list):
        return []
    return [entry for entry in value if isinstance(entry, Mapping)]


def tell_not_made(pack: JsonObject) -> Iterator[str]:
    """A sentence for each reason why checks of a pack were not made."""
    counts = get_object(pack, "not_made")
    for reason in counts:
        yield f"{get_number(counts, reason)} checks not made: {reason}"
