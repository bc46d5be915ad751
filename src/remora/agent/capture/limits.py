"""How much of a value a snapshot holds."""

from __future__ import annotations

from remora.values import frozen


@frozen
class CaptureLimits:
    """Bounds of one captured value; what is beyond is cut and says so.

    `depth`: containers and objects inside each other. `items`: of one container.
    `fields`: of one object. `text`: code points of a text, bytes of a byte string.
    `nodes` and `size`: values and about the bytes on the wire, of the whole capture.
    """

    depth: int = 3
    """The object, what it holds, and what these hold: more is a dump, not a look."""

    items: int = 100
    fields: int = 20
    text: int = 256
    """Several lines of a log; a URL, a header or a statement mostly fits."""

    nodes: int = 600
    """At most some 1.2 µs a node as measured: below 1 ms in the app's thread."""

    size: int = 32 * 1024
    """A batch of the wire (512 KiB) still holds sixteen of the largest."""


DEFAULT_LIMITS = CaptureLimits()
