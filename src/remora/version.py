"""The version of this distribution, and of the protocol that it speaks."""

__version__ = "0.1.0"

PROTOCOL_VERSION = 1
"""Version of the wire (docs/protocol.md). A peer with another major is refused."""
