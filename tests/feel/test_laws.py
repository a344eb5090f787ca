"""Laws that hold for every input, tried on inputs nobody would write."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.feel import FeelError, compile_expression, compile_unary_tests, to_feel, to_json
from tests.feel.test_constructs import CASES as CONSTRUCTS
from tests.feel.test_functions import CASES as FUNCTIONS

DECIMAL128 = Context(prec=34, rounding=ROUND_HALF_EVEN, Emin=-6143, Emax=6144, traps=[])
TEXTS = [text for text, _ in CONSTRUCTS + FUNCTIONS]
WORDS = """
for in return if then else some every satisfies and or not function instance of between null true date time list<
( ) [ ] { } , : . .. < <= > >= = != + - * / ** ? @ " ' 1 .5 1e9 x item "a" @"P1D" // /* */ \\u é 🐎
"""
PIECES = st.sampled_from(WORDS.split())
INTEGERS = st.integers(-(10**33), 10**33)
DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**8), max_value=10**8, places=6)
# NUL is refused, for no database stores it.
LETTERS = st.characters(codec="utf-8", exclude_characters="\0")
WRITABLE = st.text(LETTERS, max_size=8)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | WRITABLE | DECIMALS
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WRITABLE, inner, max_size=4),
    max_leaves=12,
)


def refused(text: str, compiler: Any) -> FeelError | None:
    """Compile and evaluate; what is refused or stopped is the only error there may be."""
    try:
        compiled = compiler(text)
        if compiler is compile_expression:
            compiled.evaluate({"x": [1, {"a": "b"}]})
        else:
            compiled.matches(1, {})
    except FeelError as error:
        return error
    return None


def survives(text: str, compiler: Any) -> None:
    error = refused(text, compiler)
    if error is not None:
        assert error.sentence
        assert 1 <= error.line <= text.count("\n") + 1
        assert error.column >= 1


@settings(deadline=None)
@given(st.text(max_size=40))
@example("\\")
@example('"\\ud800"')
@example("@")
@example("]")
@example("-")
@example("not(")
def test_any_text_is_compiled_or_refused_with_a_place(text: str) -> None:
    survives(text, compile_expression)
    survives(text, compile_unary_tests)


@settings(deadline=None)
@given(st.lists(PIECES, max_size=14), st.sampled_from(["", " "]))
def test_any_words_of_the_language_are_compiled_or_refused(pieces: list[str], between: str) -> None:
    survives(between.join(pieces), compile_expression)
    survives(between.join(pieces), compile_unary_tests)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TEXTS), st.integers(0, 80), st.integers(0, 5), PIECES)
def test_a_damaged_expression_is_compiled_or_refused(text: str, at: int, length: int, piece: str) -> None:
    survives(text[:at] + piece + text[at + length :], compile_expression)


@settings(deadline=None)
@given(st.sampled_from(["+", "-", "*"]), INTEGERS, INTEGERS)
def test_integers_calculate_like_decimal128(operator: str, a: int, b: int) -> None:
    expected = {"+": DECIMAL128.add, "-": DECIMAL128.subtract, "*": DECIMAL128.multiply}[operator](a, b)
    assert compile_expression(f"a {operator} b").evaluate({"a": a, "b": b}) == expected


@settings(deadline=None)
@given(st.sampled_from(["+", "-", "*", "/"]), DECIMALS | INTEGERS, DECIMALS | INTEGERS)
def test_numbers_calculate_like_decimal128(operator: str, a: Any, b: Any) -> None:
    value = compile_expression(f"a {operator} b").evaluate({"a": a, "b": b})
    if operator == "/" and not b:
        assert value is None
        return
    calculate = {"+": DECIMAL128.add, "-": DECIMAL128.subtract, "*": DECIMAL128.multiply, "/": DECIMAL128.divide}
    assert value == calculate[operator](Decimal(a), Decimal(b))


@settings(deadline=None)
@given(INTEGERS, INTEGERS.filter(bool))
def test_modulo_has_the_sign_of_the_divisor(a: int, b: int) -> None:
    rest = compile_expression("modulo(a, b)").evaluate({"a": a, "b": b})
    assert rest == a % b
    assert rest == 0 or (rest < 0) is (b < 0)


@settings(deadline=None)
@given(DECIMALS | st.integers(-1000, 1000), DECIMALS | st.integers(-1000, 1000))
def test_one_of_less_equal_and_greater_holds(a: Any, b: Any) -> None:
    verdicts = [compile_expression(f"a {sign} b").evaluate({"a": a, "b": b}) for sign in ("<", "=", ">")]
    assert sorted(verdicts) == [False, False, True]


@settings(deadline=None)
@given(st.lists(st.integers(-(10**30), 10**30) | DECIMALS))
def test_sorting_orders_and_keeps_everything(items: list[Any]) -> None:
    assert compile_expression("sort(l)").evaluate({"l": items}) == sorted(items)
    assert compile_expression("sort(l, function(x, y) x > y)").evaluate({"l": items}) == sorted(items, reverse=True)


@settings(deadline=None)
@given(st.lists(SCALARS))
def test_reversing_twice_changes_nothing(items: list[Any]) -> None:
    assert compile_expression("reverse(reverse(l))").evaluate({"l": items}) == to_feel(items)


@settings(deadline=None)
@given(st.lists(st.integers(-50, 50)), st.integers(-50, 50))
def test_a_filter_and_its_opposite_share_the_list(items: list[int], bound: int) -> None:
    variables = {"l": items, "b": bound}
    kept = compile_expression("l[item > b]").evaluate(variables)
    assert kept == [item for item in items if item > bound]
    assert compile_expression("count(l[item > b]) + count(l[item <= b]) = count(l)").evaluate(variables) is True
    assert compile_expression("for x in l return x").evaluate(variables) == items
    assert compile_expression("some x in l satisfies x > b").evaluate(variables) is any(i > bound for i in items)
    assert compile_expression("every x in l satisfies x > b").evaluate(variables) is all(i > bound for i in items)


@settings(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_texts_join_and_part_again(a: str, b: str) -> None:
    variables = {"a": a, "b": b}
    assert compile_expression("string length(a + b) = string length(a) + string length(b)").evaluate(variables) is True
    assert compile_expression('string join(split(a, ","), ",")').evaluate({"a": a}) == a


@settings(deadline=None)
@given(JSON)
def test_what_is_written_as_json_reads_back_as_the_same_value(value: Any) -> None:
    feel = to_feel(value)
    assert to_feel(feel) == feel
    assert to_feel(orjson.loads(orjson.dumps(to_json(feel)))) == feel


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (Decimal("0.1"), b"0.1"),
        (Decimal("12.50"), b"12.5"),
        (Decimal("5.00"), b"5"),
        (Decimal(1) / Decimal(3), b"0.3333333333333333"),
        (2**63 - 1, b"9223372036854775807"),
        (10**20, b"1e+20"),
        (Decimal("1E+30"), b"1e+30"),
        (True, b"true"),
        (Decimal("1E+400"), b"null"),
    ],
)
def test_numbers_are_written_as_the_digits_they_have(value: Any, written: bytes) -> None:
    assert orjson.dumps(to_json(value)) == written


@pytest.mark.parametrize(
    "text", ['@"2026-01-31"', '@"10:00:00Z"', '@"2026-01-31T10:00:00@Asia/Tokyo"', '@"P1DT2H"', '@"-P1M"']
)
def test_points_in_time_are_written_as_their_text(text: str) -> None:
    assert to_json(compile_expression(text).evaluate({})) == text[2:-1]


def test_writing_gives_fresh_containers_and_no_functions() -> None:
    inner = [1]
    written = to_json(
        {
            "a": inner,
            "f": compile_expression("function(x) x").evaluate({}),
            "r": compile_expression("[1..2)").evaluate({}),
        }
    )
    assert written == {"a": [1], "f": None, "r": "[1..2)"}
    assert written["a"] is not inner
