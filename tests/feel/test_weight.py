"""A value may be small in memory and endless when it is walked through: a few lists that hold each other twice.

Every standard function and every construct is given such values, and long ones in every round of a loop. Each ends,
in time or with a limit that says so.
"""

from contextlib import suppress
from itertools import pairwise
from time import process_time

import pytest

from app.feel import FeelError, Limits, compile_expression, to_json
from app.feel.registry import BUILTINS

_DOUBLED = ", ".join(f"x{to}: [x{of}, x{of}]" for of, to in pairwise(range(40)))
ENDLESS_LIST = f"{{x0: [1, 1], {_DOUBLED}}}.x39"
ENDLESS_CONTEXT = f"{{x0: [1, 1], {_DOUBLED}, y: {{p: x39, q: x39}}}}.y"
OTHERS = ("numbers", "text", "2", "function(x, y) x = y")
VARIABLES = {
    "numbers": list(range(9_000)),
    "contexts": [{"a": number, "b": [number]} for number in range(3_000)],
    "text": "ab " * 300_000,
}
#: Generous, because the machine may be busy; what is not stopped takes hours.
SECONDS = 4.0


def ends(text: str) -> None:
    begun = process_time()
    with suppress(FeelError):
        compile_expression(text).evaluate(VARIABLES)
    assert process_time() - begun < SECONDS, text[-200:]


def counts(name: str) -> list[int]:
    return [count for count in (1, 2, 3) if any(form.takes(count) for form in BUILTINS[name])]


@pytest.mark.parametrize("name", sorted(BUILTINS))
def test_a_function_ends_for_values_that_hold_themselves_many_times(name: str) -> None:
    for count in counts(name):
        for other in OTHERS if count > 1 else ():
            ends(f"{name}({', '.join((ENDLESS_LIST, other, ENDLESS_CONTEXT)[:count])})")
            ends(f"{name}({', '.join((other, ENDLESS_LIST, other)[:count])})")
        ends(f"{name}({', '.join([ENDLESS_LIST] * count)})")
        ends(f"{name}({', '.join([ENDLESS_CONTEXT] * count)})")


@pytest.mark.parametrize("name", sorted(BUILTINS))
def test_a_function_called_in_every_round_with_long_values_ends(name: str) -> None:
    for count in counts(name):
        for values in (["numbers"] * count, ["contexts", "z", "z"][:count], ["text"] * count):
            ends(f"for z in numbers return {name}({', '.join(values)})")


@pytest.mark.parametrize(
    "text",
    [
        "string(for z in 1..33 return partial)",
        "{l} = {m}",
        "{l} != {m}",
        "{c} = {d}",
        "{l} in {m}",
        "{l} in ({m}, {m})",
        "{l} between {l} and {m}",
        "{l}.a.b",
        "{l}[item = 1]",
        "{l}[1][1] = {m}[1][1]",
        "some z in {l} satisfies z = {m}",
        "{l} instance of " + "list<" * 40 + "number" + ">" * 40,
        "{{f: function(x: " + "list<" * 40 + "number" + ">" * 40 + ") 1, r: f({l})}}.r",
        "for z in contexts return contexts instance of list<context<a: number>>",
        "{{f: function(x: list<number>) 1, r: for z in numbers return f(numbers)}}.r",
        "for z in numbers return contexts = contexts",
        "for z in numbers return contexts.b",
        "for z in numbers return contexts[a = z]",
        "for z in numbers return z in (1, 2, contexts)",
        "for z in numbers return text + text",
        "for z in numbers return text = text",
    ],
)
def test_a_construct_ends(text: str) -> None:
    other = ENDLESS_LIST.replace("x", "z")
    ends(text.format(l=ENDLESS_LIST, m=other, c=ENDLESS_CONTEXT, d=ENDLESS_CONTEXT.replace("x", "z")))


_MANY = '{{s: string join(for i in 1..900 return "{x}"), c: {c}, r: for i in 1..9000 return c}}.r'
_LONG_KEY = _MANY.format(x="x" * 100, c="context put({}, s, 1)")
_LONG_RANGE = _MANY.format(x="x" * 100, c="[s..s]")


@pytest.mark.parametrize(
    "text", ["for z in 1..33 return partial", ENDLESS_LIST, ENDLESS_CONTEXT, _LONG_KEY, _LONG_RANGE]
)
def test_what_is_endless_when_written_out_is_not_written(text: str) -> None:
    begun = process_time()
    with pytest.raises(FeelError, match="grew beyond"):
        to_json(compile_expression(text).evaluate({}))
    assert process_time() - begun < SECONDS


_LONG = ", ".join(f"{to}: string join([{', '.join([of] * 10)}])" for of, to in pairwise("abcd"))
_PROPERTIES = "[" + "".join(f"\\p{{{major}{minor}}}" for major in "LMN" for minor in "abcdefghijklmnop") + "]"
_SIGNS = "[" + "".join(chr(code) for code in range(300, 1290, 2)) + "]"


@pytest.mark.parametrize(
    "text",
    [
        f'{{a: "{"x" * 400}", {_LONG}, r: count(for i in 1..7000 return string([d, i]))}}.r',
        f'{{a: "{"x" * 400}", {_LONG}, r: for i in 1..7000 return string(context([{{key: d, value: i}}]))}}.r',
        "for i in 1..1000, j in 1..9 return string(1e6000)",
        'for i in 1..500 return matches("", "a{999}b{900}" + string(i))',
        'for i in 1..500 return matches("", "a{999}b{999}c{999}" + string(i))',
        'for i in 1..5000 return range("[" + plus + "1..2]")',
        f'for i in 1..100 return matches(strange, "{_SIGNS}+$")',
        'for i in 1..100 return matches(strange, properties + "$")',
        f'for i in 1..100 return matches(strange, "{"(.)" * 45}a")',
    ],
)
def test_what_costs_much_in_one_call_is_charged(text: str) -> None:
    variables = {"plus": "1+" * 140, "strange": "\u65e5" * 20_000, "properties": _PROPERTIES}
    begun = process_time()
    with pytest.raises(FeelError, match="steps"):
        compile_expression(text).evaluate(variables)
    assert process_time() - begun < SECONDS


@pytest.mark.parametrize("text", [f'matches("x", "{"()" * 480}y")', f'range("[{"1+" * 200}1..2]")'])
def test_what_is_too_large_to_be_charged_is_null(text: str) -> None:
    assert compile_expression(text).evaluate({}) is None


def test_the_same_call_is_charged_the_same_whether_a_pattern_is_kept_or_not() -> None:
    expression = compile_expression('matches("", "k{40}e{40}p{40}t")')

    def least() -> int:
        return next(steps for steps in range(1_000) if suffices(steps))

    def suffices(steps: int) -> bool:
        with suppress(FeelError):
            return expression.evaluate({}, limits=Limits(steps=steps)) is False
        return False

    first = least()
    for number in range(100):
        compile_expression(f'matches("", "a{{{number}}}")').evaluate({})
    assert least() == first > 10


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("^[a-cb-fx]$", "aefx", "gwy"),
        ("^[^a-c\\\\d]$", "dé", "b7"),
        ("^[\\\\d\\\\s_-]$", "5 _-", "ab"),
        ("^[a-z-[aeiou]]$", "bz", "aeA"),
    ],
)
def test_a_set_holds_what_is_written_in_it(pattern: str, yes: str, no: str) -> None:
    for sign in yes + no:
        assert compile_expression(f'matches("{sign}", "{pattern}")').evaluate({}) is (sign in yes), sign
    assert compile_expression(f'matches("E", "{pattern}", "i")').evaluate({}) is ("e" in yes or "^[^" in pattern)


def test_what_is_shared_is_compared_once_and_rightly() -> None:
    shared = f"{{x0: [1, 1], {_DOUBLED}, a: [x3, [1, [x2]]], b: [x3, [1, [x2]]], c: [x3, [2, [x2]]]}}"
    assert compile_expression(f"{shared}.a = {shared}.b").evaluate({}) is True
    assert compile_expression(f"{shared}.a = {shared}.c").evaluate({}) is False
    assert compile_expression('[{a: 1}, [1]] = [{a: "1"}, [1]]').evaluate({}) is None
    assert compile_expression("[{a: 1}] = [{b: 1}]").evaluate({}) is False
    assert compile_expression("{a: [1, 2], b: 3} = {b: 3, a: [1, 2]}").evaluate({}) is True


def test_a_type_looks_at_what_a_value_holds() -> None:
    assert compile_expression("[[1], [null, 2]] instance of list<list<number>>").evaluate({}) is True
    assert compile_expression('[[1], ["a"]] instance of list<list<number>>').evaluate({}) is False
    assert compile_expression("{a: 1} instance of context<a: number, b: Any>").evaluate({}) is False
    assert compile_expression("{a: {b: 1}} instance of context<a: context<b: number>>").evaluate({}) is True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('for d in (@"9999-12-31"..@"9999-12-31") return d', []),
        ('for d in [@"0001-01-01"..@"0001-01-01") return d', []),
        ('for d in (@"9999-12-29"..@"9999-12-31"] return d', ["9999-12-30", "9999-12-31"]),
        ("for n in (1..4) return n", [2, 3]),
        ("for n in [4..1] return n", None),
    ],
)
def test_a_range_is_walked_through_up_to_the_last_day_there_is(text: str, expected: object) -> None:
    assert to_json(compile_expression(text).evaluate({})) == expected
