"""Pure judges of a sink's argument against the inputs of a request; no I/O."""

from remora.detection.finding import Finding, NotMade, Verdict
from remora.detection.forms import add_forms, join_parts, needles_of
from remora.detection.inputs import Input, Inputs, Occurrence

__all__ = [
    "Finding",
    "Input",
    "Inputs",
    "NotMade",
    "Occurrence",
    "Verdict",
    "add_forms",
    "join_parts",
    "needles_of",
]
