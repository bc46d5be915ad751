"""The untrusted texts of a request, read out of what is known of it; no I/O.

Imported when protection begins: an app without it pays for none of these parsers.
"""

from remora.agent.request.sources.collected import Collected
from remora.agent.request.sources.gather import forget, inputs_of

__all__ = ["Collected", "forget", "inputs_of"]
