"""Expressions and templates as values: text for people, tree for runtimes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from remora.errors import ExpressionError
from remora.expression.tree import (
    TEXT_LIMIT,
    Tree,
    check_tree,
    root_names,
    shown_names,
    to_json,
)
from remora.values import field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen
class Expression:
    """A condition or a value, checked: it can only read, and only within bounds.

    `names` are the root names that must be bound, `shown` the names under which the
    content of its value is known, for redaction.
    """

    text: str
    tree: Tree
    names: frozenset[str] = field(compare=False, repr=False)
    shown: frozenset[str] = field(compare=False, repr=False)

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Read an expression as a person writes it. Raises ExpressionError."""
        # Late, because what comes over the wire has its tree.
        from remora.expression.parse import parse_text

        tree = parse_text(text)
        return cls(text.strip(), tree, root_names(tree), shown_names(tree))

    @classmethod
    def of_path(cls, path: str) -> Expression:
        """A name and attributes, with no parser: `request.path`."""
        name, *attributes = path.split(".")
        tree: Tree = ("name", name)
        for attribute in attributes:
            tree = ("attribute", tree, attribute)
        return cls.from_json({"text": path, "tree": tree})

    @classmethod
    def from_json(cls, value: object) -> Expression:
        """Read `{"text", "tree"}`; the tree decides, the text is only shown."""
        text, tree = _message(value, "expression")
        checked = check_tree(tree)
        return cls(text, checked, root_names(checked), shown_names(checked))

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md: text and tree."""
        return {"text": self.text, "tree": to_json(self.tree)}


PARTS_LIMIT = 100
"""Texts and expressions of one template."""


@frozen
class Template:
    """Text with `{expression}` in it; `{{` and `}}` are braces."""

    text: str
    parts: tuple[str | Expression, ...]

    @property
    def names(self) -> frozenset[str]:
        """The root names that its expressions need."""
        return frozenset[str]().union(
            *(part.names for part in self.parts if isinstance(part, Expression))
        )

    @property
    def tree(self) -> tuple[object, ...]:
        """Texts, and the trees of the expressions between them."""
        return tuple(
            part if isinstance(part, str) else part.tree for part in self.parts
        )

    @classmethod
    def parse(cls, text: str) -> Template:
        """Read a template as a person writes it. Raises ExpressionError."""
        if not isinstance(text, str) or len(text) > TEXT_LIMIT:
            raise ExpressionError(
                f"template {str(text)[:60]!r} is no text of up to {TEXT_LIMIT} "
                "characters"
            )
        return cls(text, _checked_parts(_split(text)))

    @classmethod
    def from_json(cls, value: object) -> Template:
        """Read `{"text", "tree"}`, the tree being a list of texts and expressions."""
        text, tree = _message(value, "template")
        if not isinstance(tree, list):
            raise ExpressionError(f"the tree of template {text[:60]!r} is no list")
        return cls(
            text,
            _checked_parts(
                [
                    part if isinstance(part, str) else Expression.from_json(part)
                    for part in tree
                ]
            ),
        )

    def to_json(self) -> dict[str, object]:
        """The message of docs/protocol.md: text and a list of texts and expressions."""
        return {
            "text": self.text,
            "tree": [
                part if isinstance(part, str) else part.to_json() for part in self.parts
            ],
        }


def _message(value: object, what: str) -> tuple[str, object]:
    table: Mapping[str, object] = value if isinstance(value, dict) else {}
    text = table.get("text")
    if not isinstance(text, str) or len(text) > TEXT_LIMIT or "tree" not in table:
        raise ExpressionError(
            f"{str(value)[:60]!r} is no {what}: write a text, or an object with 'text' "
            f"(up to {TEXT_LIMIT} characters) and 'tree'"
        )
    if unknown := table.keys() - {"text", "tree"}:
        raise ExpressionError(f"{what} has no key {min(map(str, unknown))!r}")
    return text, table["tree"]


def _checked_parts(parts: list[str | Expression]) -> tuple[str | Expression, ...]:
    if len(parts) > PARTS_LIMIT:
        raise ExpressionError(f"the template has more than {PARTS_LIMIT} parts")
    if sum(len(part) for part in parts if isinstance(part, str)) > TEXT_LIMIT:
        raise ExpressionError(f"the template is longer than {TEXT_LIMIT} characters")
    return tuple(parts)


def _split(text: str) -> list[str | Expression]:
    """Literal texts (braces undoubled) and expressions, in order."""
    parts: list[str | Expression] = []
    literal: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character not in "{}":
            literal.append(character)
            position += 1
        elif text[position : position + 2] == character * 2:
            literal.append(character)
            position += 2
        elif character == "}":
            raise ExpressionError(
                f"template {text[:100]!r}, column {position + 1}: a single '}}' closes "
                "nothing; write '}}' for a brace"
            )
        else:
            if literal:
                parts.append("".join(literal))
                literal = []
            end = _end_of_expression(text, position + 1)
            parts.append(_placed_expression(text, position + 1, end))
            position = end + 1
    if literal:
        parts.append("".join(literal))
    return parts


def _end_of_expression(text: str, start: int) -> int:
    """The brace that closes the one before `start`; quoted ones do not count."""
    quote = ""
    nesting = 0
    position = start
    while position < len(text):
        character = text[position]
        if quote:
            if character == "\\":
                position += 1
            elif character == quote:
                quote = ""
        elif character in "'\"":
            quote = character
        elif character == "{":
            nesting += 1
        elif character == "}":
            if not nesting:
                return position
            nesting -= 1
        position += 1
    raise ExpressionError(
        f"template {text[:100]!r}, column {start}: '{{' is never closed; write '{{{{' "
        "for a brace"
    )


def _placed_expression(text: str, start: int, end: int) -> Expression:
    try:
        return Expression.parse(text[start:end])
    except ExpressionError as error:
        raise ExpressionError(
            f"template {text[:100]!r}, column {start + 1}: {error}"
        ) from None
