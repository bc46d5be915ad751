"""The endpoints of docs/protocol.md that wait: streams and polls."""

from remora.server.stream.agents import AgentStreams
from remora.server.stream.events import event, event_stream
from remora.server.stream.records import RecordStreams

__all__ = ["AgentStreams", "RecordStreams", "event", "event_stream"]
