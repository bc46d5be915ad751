"""The expression language: text to tree to code, and reads that run no app code."""

from remora.expression.compile import (
    Code,
    compile_condition,
    compile_template,
    compile_value,
)
from remora.expression.containers import (
    Kind,
    decimal_text,
    first_entries,
    first_items,
    is_decimal,
    kind_of,
    length,
    plain_number,
    read_item,
)
from remora.expression.expression import Expression, Template
from remora.expression.missing import MISSING, REASONS, Missing
from remora.expression.operations import find_unread
from remora.expression.readers import attribute_reader
from remora.expression.reading import (
    find_in_type,
    instance_dictionary,
    read_attribute,
    type_dictionary,
    type_mro,
    type_name,
)
from remora.expression.rendering import render_text

__all__ = [
    "MISSING",
    "REASONS",
    "Code",
    "Expression",
    "Kind",
    "Missing",
    "Template",
    "attribute_reader",
    "compile_condition",
    "compile_template",
    "compile_value",
    "decimal_text",
    "find_in_type",
    "find_unread",
    "first_entries",
    "first_items",
    "instance_dictionary",
    "is_decimal",
    "kind_of",
    "length",
    "plain_number",
    "read_attribute",
    "read_item",
    "render_text",
    "type_dictionary",
    "type_mro",
    "type_name",
]
