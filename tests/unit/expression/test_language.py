"""The language as a whole: text to tree to JSON and back, and what evaluation gives."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remora.errors import ExpressionError
from remora.expression import (
    MISSING,
    Code,
    Expression,
    Missing,
    Template,
    compile_condition,
    compile_template,
    compile_value,
)


def evaluate(text, **bindings):
    return compile_value(Expression.parse(text), list(bindings))(*bindings.values())


def holds(text, **bindings):
    verdict = compile_condition(Expression.parse(text), list(bindings))(
        *bindings.values()
    )
    assert verdict is True or verdict is False
    return verdict


ATOMS = st.sampled_from(
    ["a", "b.c", "d['k']", "e[0]", "1", "-2.5", "'x'", "None", "True", "remora.user"]
)
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+ - * / // %".split()), inner).map(
            lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
        ),
        st.tuples(
            inner, st.sampled_from("== != < <= > >= in".split()), inner, inner
        ).map(lambda p: f"({p[0]} {p[1]} {p[2]} < {p[3]})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
            lambda p: f"({p[0]} {p[1]} {p[2]})"
        ),
        inner.map(lambda part: f"(not {part})"),
        inner.map(lambda part: f"len({part})"),
        inner.map(lambda part: f"({part} is missing)"),
        st.tuples(inner, inner, inner).map(lambda p: f"({p[0]} if {p[1]} else {p[2]})"),
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
    ),
    max_leaves=12,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.frozensets(st.integers(), max_size=3)
    ),
    max_leaves=8,
)


@given(text=EXPRESSIONS)
@settings(max_examples=150, deadline=None)
def test_an_expression_survives_the_way_to_json_and_back(text):
    expression = Expression.parse(text)
    message = json.loads(json.dumps(expression.to_json()))
    assert Expression.from_json(message) == expression
    assert Expression.from_json(message).names == expression.names


@given(text=EXPRESSIONS, a=VALUES, b=VALUES, d=VALUES, e=VALUES)
@settings(max_examples=300, deadline=None)
def test_evaluation_never_raises_and_a_condition_agrees_with_the_value(
    text, a, b, d, e
):
    expression = Expression.parse(text)
    providers = {"remora.user": lambda: MISSING}
    names = ["a", "b", "d", "e"]
    value = compile_value(expression, names, providers)(a, b, d, e)
    verdict = compile_condition(expression, names, providers)(a, b, d, e)
    assert verdict is True or verdict is False
    truth = compile_condition(Expression.parse("v"), ["v"])(value)
    assert verdict is truth


@given(
    st.text(alphabet="ab.c()[]'\" \\+-*/%<>=!,0123456789andornotif\n{}:", max_size=40)
)
@settings(max_examples=300, deadline=None)
def test_any_text_is_an_expression_or_one_clear_error(text):
    for kind in (Expression, Template):
        try:
            kind.parse(text)
        except ExpressionError:
            continue


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["name", "compare", "call", "loop", "len", "==", "and", "int"]),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=2)
    ),
    max_leaves=20,
)


@given(JSON)
@settings(max_examples=300, deadline=None)
def test_any_tree_from_the_wire_is_compiled_or_refused_with_one_error(tree):
    try:
        expression = Expression.from_json({"text": "?", "tree": tree})
    except ExpressionError:
        return
    parameters = sorted(expression.names)
    compile_value(expression, parameters)(*([1] * len(parameters)))


@pytest.mark.parametrize(
    ("text", "column", "part"),
    [
        ("open(x)", 1, "calls of 'open' are not in the language; it has len"),
        ("x + open(y)", 5, "calls of 'open'"),
        ("é == open(y)", 6, "calls of 'open'"),
        ("a.b(", 4, "no Python expression"),
        ("lambda: 1", 1, "lambda"),
        ("[x for x in y]", 1, "comprehension"),
        ("f'{a}'", 1, "f-string"),
        ("a[1:2]", 3, "slices"),
        ("a ** b", 1, "Pow"),
        ("a is b", 1, "None and missing"),
        ("(a := 1)", 2, ":="),
        ("a.b.c()", 1, "'.c'"),
        ("~a", 1, "'~'"),
        ("len(*a)", 1, "plain arguments"),
        ("b'x'", 1, "bytes"),
    ],
)
def test_a_refusal_names_the_column_and_what_is_allowed(text, column, part):
    with pytest.raises(ExpressionError) as caught:
        Expression.parse(text)
    assert f"column {column}:" in str(caught.value)
    assert part in str(caught.value)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 4001,
        "-" * 3000 + "1",
        "(" * 1000 + "a",
        "a" + " + a" * 600,
        "a" + ".b" * 60,
        "x.__class__",
        "len()",
        "matches(a, b)",
        "matches(a, '(')",
        "any(any(x for x in y) for y in z)",
        " and ".join(["any(x for x in y)"] * 6),
        "1" + "0" * 400,
    ],
)
def test_what_is_beyond_the_bounds_is_refused(text):
    with pytest.raises(ExpressionError):
        Expression.parse(text)


def test_names_are_the_roots_and_ours_keep_their_prefix():
    expression = Expression.parse(
        "remora.user.id == user and any(x.y == z for x in xs)"
    )
    assert expression.names == {"remora.user", "user", "xs", "z"}


def test_an_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(
        ExpressionError, match=r"'c' is not known here; known are a, user"
    ):
        compile_value(Expression.parse("c"), ["a"], {"user": lambda: 1})


def test_a_parameter_wins_over_a_provider_and_may_have_any_name():
    providers = {"user": lambda: "ours", "remora.user": lambda: "ours"}
    code = compile_value(Expression.parse("[user, remora.user]"), ["user"], providers)
    assert code("theirs") == ["theirs", "ours"]
    for name in ("p0", "c0", "t0", "r0", "type", "user"):
        value = compile_value(Expression.parse(f"{name} > 1 and x.y"), ["x", name])
        assert value(None, 0) is False


def test_a_parameter_called_remora_is_the_calls_own():
    class Own:
        user = "theirs"

    code = compile_value(Expression.parse("remora.user"), ["remora"], {})
    assert code(Own()) == "theirs"


def test_a_provider_is_called_only_when_its_value_is_needed():
    calls = []
    providers = {"user": lambda: calls.append(1) or 5}
    condition = compile_condition(
        Expression.parse("a > 3 and user == 5"), ["a"], providers
    )
    assert condition(1) is False
    assert not calls
    assert condition(4) is True
    assert calls == [1]


def test_a_constant_and_a_parameter_can_be_used_by_statements_around():
    import ast

    code = Code(["amount"])
    fired = []
    body = [
        ast.If(
            code.condition(Expression.parse("amount > 10")),
            [
                ast.Expr(
                    ast.Call(
                        code.constant(fired.append), [code.parameter("amount")], []
                    )
                )
            ],
            [],
        )
    ]
    gate = code.function("gate", body)
    gate(5)
    gate(50)
    assert fired == [50]
    assert gate.__code__.co_varnames[: gate.__code__.co_argcount] == ("p0",)


def test_nothing_of_an_exploding_object_runs(exploding):
    objects = [exploding(x=1), exploding(dict, x=1), exploding(list), exploding(str)]
    objects += [exploding(int), exploding(set), exploding(ValueError), exploding(tuple)]
    texts = """
        a == b|a != b|a < b|a in b|a not in [b]|a + b|-a|not a|a and b|a or b|a[0]|
        a['x']|len(a)|str(a)|int(a)|float(a)|
        abs(a)|min(a)|max(a, b)|lower(a)|any(a)|all(a)
        type_name(a)|a.x|a.computed|a.nothing|a if b else 1|a is None|a is missing
        a > 1|a == 'x'|a == None|a == True|a in ['x', 'y']|'x' in a|1 in a|a.x == 1
        startswith(a, b)|endswith(a, 'x')|contains(a, b)|matches(a, 'x+')|[a] == [b]
        any(x == b for x in a)|all(x.y for x in [a, b])|min([a, b])|[a, b] == [b, a]
    """
    for text in texts.replace("\n", "|").split("|"):
        if not text.strip():
            continue
        value = compile_value(Expression.parse(text), ["a", "b"])
        condition = compile_condition(Expression.parse(text), ["a", "b"])
        for left in objects:
            for right in (
                objects[0],
                left,
                objects[1],
                1,
                "x",
                [1],
                {"k": left},
                {left_key(left): 1},
            ):
                value(left, right)
                assert type(condition(left, right)) is bool
                value(right, left)
    render = compile_template(Template.parse("{a} {[a]} {a.x}"), ["a"])
    for obj in objects:
        assert render(obj)


def left_key(obj):
    """A key of the app that is hashable; the exploding ones are not."""

    class Key:
        def __hash__(self):
            return hash("x")

        def __eq__(self, other):
            raise AssertionError("a key of the app was compared")

    return Key()


def test_hostile_sizes_cost_little_and_are_missing():
    huge_text, huge_list = "x" * 100_000_000, [1] * 5_000_000
    assert evaluate("lower(a)", a=huge_text) is Missing("size")
    assert evaluate("matches(a, '(x*)*y')", a=huge_text) is Missing("size")
    assert evaluate("len(a)", a=huge_text) == 100_000_000
    other = huge_text[:-1] + "y"
    for text in ("a == b", "a != b", "a < b", "b >= a", "startswith(a, b)", "b in [a]"):
        assert not holds(text, a=huge_text, b=other), text
    assert evaluate("max(a, b)", a=huge_text, b=other) is Missing("size")
    assert not holds("'y' in a", a=huge_text)
    assert not holds("'y' not in a", a=huge_text)
    assert not holds("2 in a", a=huge_list)
    assert not holds("2 not in a", a=huge_list)
    assert holds("1 in a", a=huge_list)
    assert evaluate("any(x > 1 for x in a)", a=huge_list) is Missing("size")
    assert evaluate("a['k']", a=dict.fromkeys(range(5000))) is Missing("size")
    assert evaluate("a * a", a=10**5000) is Missing("size")
    assert evaluate("a * a * a * a * a * a * a * a", a=10**300) is Missing("size")
    assert len(compile_template(Template.parse("{a}{a}"), ["a"])(huge_text)) == 512


@pytest.mark.parametrize(
    "condition",
    [
        *("i < t", "i >= t", "startswith(i, t)", "contains(i, 'xy')", "'xy' in i"),
        *("lower(i) == 'b'", "upper(i) == 'b'", "matches(i, '(x|xx)*y')", "min(i, t)"),
        *("t in [i, i]", "[i] == [t]", "i == t", "'x' in m", "t in m", "max(n) == 7"),
        *("any(n)", "7 in n", "n == o", "str(n) == ''", "m[i] == 1", "not 7 in n"),
    ],
)
@pytest.mark.parametrize("function", ["any", "all"])
def test_a_thousand_times_what_an_operation_may_look_at_is_missing(function, condition):
    size = 10_000 if "matches" in condition else 2**20
    text = "x" * (65_536 if "er(i)" in condition else size)
    names = {"l": [text] * 1000, "t": "x" * (len(text) - 1) + "y"}
    names |= {
        "n": [0] * 900,
        "o": [0] * 899 + [1],
        "m": {str(k): k for k in range(900)},
    }
    # so that no item decides
    inner = f"({condition}) and {int(function == 'all')} or {int(function == 'all')}"
    told = evaluate(f"{function}({inner} for i in l)", **names)
    assert told is Missing("size")


def test_an_item_that_decides_before_the_steps_are_used_up_counts():
    lines = ["x" * 2**20] * 100
    assert evaluate("any('y' in i for i in l)", l=["y", *lines]) is True
    assert evaluate("all('x' in i for i in l)", l=["y", *lines]) is False
    assert evaluate("any('y' in i for i in l)", l=lines) is Missing("size")
    assert evaluate("all(not 'y' in i for i in l)", l=lines) is Missing("size")


def test_the_items_of_a_loop_are_not_touched(exploding):
    class Odd(list):
        @property
        def __class__(self):
            raise AssertionError("a list of the app was asked for its class")

    for text in ("1 in i", "i == [1]", "any(i)", "max(i) == 1", "i[0] == 1", "str(i)"):
        assert evaluate(f"any({text} for i in l)", l=[exploding(), Odd([1])]) is True


def test_cycles_and_hostile_depth_end():
    cycle = []
    cycle.append(cycle)
    other = []
    other.append(other)
    deep, deep_too = [], []
    for _ in range(50_000):
        deep, deep_too = [deep], [deep_too]
    assert not holds("a == b", a=cycle, b=other)
    assert not holds("a != b", a=cycle, b=other)
    assert not holds("a == b", a=deep, b=deep_too)
    assert compile_template(Template.parse("{a}"), ["a"])(deep) == "[[[…]]]"
    while deep:
        deep, deep_too = deep[0], deep_too[0]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("{{}} {a}", "{} 5"),
        ("{a > 3 and '}' or '{'}", "}"),
        ("{d['k']}", "v"),
        ("{nothing.at.all}", "missing"),
        ("{o.p}", "missing (property)"),
        ("{d}", "{'k': 'v'}"),
        ("{o.password} {len(o.password)}", "(redacted) 3"),
        ("{d['token']}{str(token)}", "(redacted)(redacted)"),
    ],
)
def test_a_template_shows_values_and_says_what_is_missing(text, result):
    class Owner:
        password = "abc"

        @property
        def p(self):
            raise AssertionError

    render = compile_template(
        Template.parse(text),
        ["a", "d", "o", "nothing", "token"],
        is_secret=lambda name: name in {"password", "token"},
    )
    assert render(5, {"k": "v"}, Owner(), MISSING, "t") == result
    again = Template.from_json(json.loads(json.dumps(Template.parse(text).to_json())))
    assert again == Template.parse(text)


@pytest.mark.parametrize("text", ["{", "}", "{a", "{a b}", "{}", "{a}}"])
def test_a_broken_template_is_refused(text):
    with pytest.raises(ExpressionError, match="column"):
        Template.parse(text)


def test_missing_is_one_object_for_each_reason_and_cannot_be_changed():
    assert Missing("property") is Missing("property")
    assert not Missing("absent")
    with pytest.raises(AttributeError):
        MISSING.reason = "x"
    with pytest.raises(KeyError):
        Missing("unheard of")


@pytest.mark.parametrize(
    "tree",
    [
        ["loop", [], "x", ["name", "a"], ["name", "x"]],
        ["loop", {}, "x", ["name", "a"], ["name", "x"]],
        ["compare", ["name", "a"], [], ["name", "b"]],
        ["call", [], ["name", "a"]],
        [[], ["name", "a"]],
    ],
)
def test_a_list_where_a_word_belongs_is_refused(tree):
    with pytest.raises(ExpressionError):
        Expression.from_json({"text": "x", "tree": tree})
