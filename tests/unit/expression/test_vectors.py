"""The vectors that define the language, run in Python.

A row has an expression, its tree, bindings as values of the wire, and the expected
value or an error. Another runtime runs the same file from the trees.
"""

import json
import math
from base64 import b64decode
from pathlib import Path

import pytest

from remora.errors import ExpressionError
from remora.expression import Expression, Missing, compile_condition, compile_value

VECTORS = json.loads(
    (Path(__file__).parents[2] / "vectors" / "expressions.json").read_text()
)


class Thing:
    """An object of the app, made of the fields of a row."""


def decode(value):
    """A value of the wire as a live one."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    form = value.get("$")
    if form is None:
        return {key: decode(entry) for key, entry in value.items()}
    if form == "object":
        thing = Thing()
        for name, field in value["fields"].items():
            setattr(thing, name, decode(field))
        return thing
    return {
        "missing": lambda: Missing(value["reason"]),
        "float": lambda: float(value["text"]),
        "int": lambda: int(value["text"]),
        "bytes": lambda: b64decode(value["base64"]),
        "tuple": lambda: tuple(map(decode, value["items"])),
        "set": lambda: set(map(decode, value["items"])),
        "dict": lambda: {decode(k): decode(v) for k, v in value["entries"]},
    }[form]()


def encode(value):
    """A result in the wire's form; results of expressions are of few kinds."""
    if isinstance(value, Missing):
        return {"$": "missing", "reason": value.reason}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$": "float", "text": str(value)}
    if isinstance(value, int) and abs(value) > 2**53:
        return {"$": "int", "text": str(value)}
    if isinstance(value, (list, set, tuple)):
        items = [encode(item) for item in value]
        word = type(value).__name__
        return (
            items
            if word == "list"
            else {"$": word, "items": items, "length": len(items)}
        )
    if isinstance(value, dict):
        return {key: encode(entry) for key, entry in value.items()}
    if isinstance(value, Thing):
        return encode_thing(value)
    return value


def encode_thing(thing):
    fields = {name: encode(field) for name, field in vars(thing).items()}
    return {"$": "object", "type": "app.Thing", "fields": fields, "length": len(fields)}


def evaluate(expression, bindings):
    names = list(bindings)
    providers = {
        name: lambda name=name: decode(bindings[name]) for name in names if "." in name
    }
    parameters = [name for name in names if "." not in name]
    function = compile_value(expression, parameters, providers)
    return encode(function(*(decode(bindings[name]) for name in parameters)))


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=f"{i}") for i, row in enumerate(VECTORS) if "value" in row],
)
def test_an_expression_has_the_value_of_its_vector(row):
    expression = Expression.parse(row["expression"])
    assert expression.to_json()["tree"] == row["tree"]
    value = evaluate(Expression.from_json(expression.to_json()), row["bindings"])
    assert value == row["value"]
    assert type(value) is type(row["value"])
    from_tree = {"text": "", "tree": row["tree"]}
    assert evaluate(Expression.from_json(from_tree), row["bindings"]) == row["value"]


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=f"{i}") for i, row in enumerate(VECTORS) if "value" in row],
)
def test_as_a_condition_it_is_the_truth_of_its_value(row):
    names = [name for name in row["bindings"] if "." not in name]
    providers = {name: (lambda: "alice") for name in row["bindings"] if "." in name}
    condition = compile_condition(Expression.parse(row["expression"]), names, providers)
    verdict = condition(*(decode(row["bindings"][name]) for name in names))
    truth = compile_condition(Expression.parse("v"), ["v"])(decode(row["value"]))
    assert verdict is truth


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=f"{i}") for i, row in enumerate(VECTORS) if "error" in row],
)
def test_what_is_outside_the_language_is_refused(row):
    with pytest.raises(ExpressionError):
        Expression.parse(row["expression"])


def test_there_are_enough_vectors_and_none_twice():
    assert len(VECTORS) >= 400
    assert len({json.dumps(row, sort_keys=True) for row in VECTORS}) == len(VECTORS)
