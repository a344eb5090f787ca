"""An expression is data from people who are not administrators: it reaches nothing and it ends."""

from time import process_time
from typing import Any

import pytest

from app.feel import FeelError, Limits, compile_expression, compile_unary_tests, to_json


class Guarded:
    """An object whose attributes would be worth having."""

    secret = "key"

    def method(self) -> str:
        return self.secret


@pytest.mark.parametrize(
    "text",
    [
        "x.secret",
        "x.method()",
        "x.__class__",
        "x.__dict__",
        '"".__class__.__mro__',
        "[].__class__",
        "{}.__class__",
        "{}.keys",
        "{}.keys()",
        "[].append",
        "(1).real",
        "(1.5).as_tuple()",
        "now.__globals__",
        "count.__code__",
        "(function(a) a).call",
        '@"2026-01-01".resolution',
        "__import__",
        '__import__("os")',
        'eval("1")',
        "open",
        "globals()",
        "x[__class__]",
        '[x][secret = "key"][1].secret',
        'get value(x, "secret")',
    ],
)
def test_nothing_of_python_can_be_reached(text: str) -> None:
    assert compile_expression(text).evaluate({"x": Guarded()}) in (None, [])


def test_a_foreign_object_is_null() -> None:
    assert compile_expression("x = null").evaluate({"x": Guarded()}) is True
    assert compile_expression("string([a.x])").evaluate({"a": {"x": Guarded()}}) == "[null]"


def refusal(text: str) -> FeelError:
    with pytest.raises(FeelError) as refused:
        compile_expression(text)
    return refused.value


def test_a_long_text_is_refused() -> None:
    assert "characters" in refusal("1" + " + 1" * 3_000).sentence


@pytest.mark.parametrize(
    "text",
    [
        "(" * 150 + "1" + ")" * 150,
        "[" * 150 + "]" * 150,
        "{a:" * 150 + "1" + "}" * 150,
        "-" * 150 + "1",
        "x" + ".a" * 150,
        "x" + "[1]" * 150,
        "1" + "+1" * 150,
        "if true then " * 150 + "1" + " else 1" * 150,
        "for a in b return " * 150 + "1",
        "function(x)" * 150 + "1",
        "f(" * 150 + ")" * 150,
        "1 in (" * 150 + "1" + ")" * 150,
    ],
)
def test_a_deep_text_is_refused(text: str) -> None:
    assert "deep" in refusal(text).sentence


def test_deep_types_are_refused() -> None:
    assert "deep" in refusal("1 instance of " + "list<" * 200 + "number" + ">" * 200).sentence


def test_a_long_condition_is_not_a_deep_one() -> None:
    text = " or ".join(f'country = "C{number}"' for number in range(400))
    assert compile_expression(text).evaluate({"country": "C399"}) is True


@pytest.mark.parametrize(
    "text",
    [
        "for a in 1..100000, b in 1..100000 return 1",
        "some a in 1..1000000000 satisfies false",
        "every a in 1..1000, b in 1..1000, c in 1..1000 satisfies true",
        "count(for a in 1..9999 return for b in 1..9999 return b)",
        "{f: function(n) f(n) + f(n), r: f(1)}.r",
        "{f: function(n) if n = 0 then 0 else f(n - 1) + f(n - 1), r: f(30)}.r",
        "{f: function(g, n) g(g, n), r: f(f, 1)}.r",
        "{l: for a in 1..5000 return a, r: sort(l, function(x, y) count(l[item > x]) > 0)}.r",
        "{l: for a in 1..9000 return a, r: for a in l return count(l)}.r",
        "for a in 1..9000 return partial",
        "{l: for a in 1..5000 return a, r: for a in l return l = l}.r",
        "{l: for a in 1..5000 return [a], r: for a in l return a in l}.r",
        "{l: for a in 1..5000 return [a], r: distinct values(l)}.r",
        "{l: for a in 1..5000 return a, r: for a in l return index of([l, l, l], l)}.r",
        'matches(x, "(a|aa|aaa|aaaa)*(b|bb)*c")',
    ],
)
def test_work_without_end_is_stopped(text: str) -> None:
    with pytest.raises(FeelError, match=r"steps|grew|levels deep"):
        compile_expression(text).evaluate({"x": "a" * 900_000})


def test_texts_and_lists_do_not_grow_without_bound() -> None:
    doubling = "{a: string join([x, x]), b: a + a, c: b + b, d: c + c, e: d + d}.e"
    with pytest.raises(FeelError, match="text grew"):
        compile_expression(doubling).evaluate({"x": "y" * 100_000})
    with pytest.raises(FeelError, match="list grew"):
        compile_expression("concatenate(x, x)").evaluate({"x": [1] * 6_000})
    with pytest.raises(FeelError, match="text grew"):
        compile_expression('replace(x, "a", "bbbbbbbbbbbbbbbbbbbb")').evaluate(
            {"x": "a" * 90_000}, limits=Limits(steps=10**9)
        )


@pytest.mark.parametrize(
    "text",
    [
        "10 ** 1000000000000",
        "9 ** 9 ** 9 ** 9 ** 9",
        "2 ** 100000",
        "1e6144 * 1e6144",
        "exp(1e30)",
        "decimal(1, 100000000000)",
        "date(1e6000, 1, 1)",
        "[1][1e6000]",
        'duration("P99999999999999999999D")',
        '@"2026-01-01" + @"P999999999Y"',
        '@"P999999999D" * 1e30',
        'substring("a", 1e6000)',
    ],
)
def test_huge_numbers_are_null_and_quick(text: str) -> None:
    assert compile_expression(text).evaluate({}) is None


def test_a_number_of_a_thousand_digits_is_rounded_and_one_of_seven_thousand_refused() -> None:
    assert compile_expression("9" * 1_000 + " = 1" + "0" * 1_000).evaluate({}) is True
    assert "too large" in refusal("9" * 7_000).sentence


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+$", "a" * 2_000 + "b"),
        ("^(a|a)*$", "a" * 2_000 + "b"),
        ("(a*)*b", "a" * 2_000),
        ("a*a*a*a*a*a*a*b", "a" * 2_000),
        ("(.*)(.*)(.*)(.*)x", "y" * 2_000),
        ("^(([a-z])+.)+[A-Z]([a-z])+$", "a" * 2_000),
    ],
)
def test_patterns_that_would_explode_elsewhere_are_answered(pattern: str, text: str) -> None:
    assert compile_expression("matches(t, p)").evaluate({"t": text, "p": pattern}) is False


@pytest.mark.parametrize("pattern", ["((a{1,1000}){1,1000}){1,1000}", "(" * 200 + ")" * 200, "a" * 1_001, "a{99999}"])
def test_patterns_that_are_too_large_are_null(pattern: str) -> None:
    assert compile_expression('matches("a", p)').evaluate({"p": pattern}) is None


def test_thousands_of_plain_values_are_made_distinct_within_the_budget() -> None:
    text = "count(distinct values(for a in 1..9000 return modulo(a, 3000)))"
    assert compile_expression(text).evaluate({}) == 3000


def test_few_long_texts_are_kept_and_many_short_ones() -> None:
    long = [f"[{number}{', 1' * 200}]" for number in range(200)]
    kept = [compile_expression(text) for text in long]
    assert compile_expression(long[-1]) is kept[-1]
    assert compile_expression(long[0]) is not kept[0]
    short = [compile_expression(f"{number} + 1") for number in range(200)]
    assert compile_expression("0 + 1") is short[0]


def test_the_budget_is_per_evaluation() -> None:
    expression = compile_expression("count(for a in 1..5000 return a)")
    assert [expression.evaluate({}) for _ in range(30)] == [5000] * 30


def test_a_tight_budget_stops_early_and_says_where() -> None:
    with pytest.raises(FeelError, match="more than 50 steps") as stopped:
        compile_expression("1 +\n count(for a in 1..100 return a)").evaluate({}, limits=Limits(steps=50))
    assert stopped.value.line == 2
    assert stopped.value.code == "invalid_expression"


def test_unary_tests_are_bounded_too() -> None:
    with pytest.raises(FeelError, match="steps"):
        compile_unary_tests("some a in 1..1000000000 satisfies false").matches(1, {})


def test_evaluating_changes_no_input() -> None:
    variables: dict[str, Any] = {"l": [3, 1, 2], "c": {"a": 1, "f": 0.5}}
    compile_expression('[sort(l), append(l, 4), remove(l, 1), context put(c, "a", 2), c.f]').evaluate(variables)
    assert variables == {"l": [3, 1, 2], "c": {"a": 1, "f": 0.5}}


def test_the_result_of_a_constant_list_is_new_every_time() -> None:
    expression = compile_expression("[1, 2]")
    assert expression.evaluate({}) is not expression.evaluate({})


_TEXT = 'string join(for i in 1..9000 return "' + "x" * 100 + '")'
_TENFOLD = ", ".join(f"{to}: [{', '.join([of] * 10)}]" for of, to in zip("abcdefgh", "bcdefghi", strict=True))


@pytest.mark.parametrize(
    "text",
    [
        f"{{a: [1,1,1,1,1,1,1,1,1,1], {_TENFOLD}}}.i",
        f"{{a: [1,1,1,1,1,1,1,1,1,1], {_TENFOLD}, r: h = i}}.r",
        f"{{a: [1,1,1,1,1,1,1,1,1,1], {_TENFOLD}, r: string(i)}}.r",
        f"{{s: {_TEXT}, r: for i in 1..10000 return s}}.r",
        f"{{s: {_TEXT}, r: string(for i in 1..10000 return s)}}.r",
        f"{{s: {_TEXT}, r: string(for i in 1..10000 return {{a: s}})}}.r",
    ],
)
def test_what_is_small_by_sharing_does_not_become_endless(text: str) -> None:
    begun = process_time()
    with pytest.raises(FeelError):
        to_json(compile_expression(text).evaluate({}))
    assert process_time() - begun < 5, "an endless one takes hours"
