"""The places where FEEL surprises: three-valued logic, null propagation, types that do not mix."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from app.feel import FeelError, compile_expression


def value_of(text: str, **variables: Any) -> Any:
    return compile_expression(text).evaluate(variables, now=datetime(2026, 1, 1, tzinfo=UTC))


def shown(text: str, **variables: Any) -> str:
    written: str = compile_expression("string([value])").evaluate({"value": value_of(text, **variables)})
    return written[1:-1]


@pytest.mark.parametrize("left", ["true", "false", "null", "123"])
@pytest.mark.parametrize("right", ["true", "false", "null", '"x"'])
def test_logic_is_three_valued_and_a_stranger_is_unknown(left: str, right: str) -> None:
    truth = {"true": True, "false": False}
    a, b = truth.get(left), truth.get(right)
    both = False if a is False or b is False else True if a and b else None
    either = True if a or b else False if a is False and b is False else None
    assert value_of(f"{left} and {right}") is both
    assert value_of(f"{left} or {right}") is either


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("null = null", "true"),
        ("null != null", "false"),
        ("1 = null", "false"),
        ("null != 1", "true"),
        ('100 = "100"', "null"),
        ("{} = []", "null"),
        ("false = 0", "null"),
        ('100 != "100"', "null"),
        ("null < 1", "null"),
        ("1 >= null", "null"),
        ("true < false", "null"),
        ('1 < "2"', "null"),
        ("5 in (null..10]", "null"),
        ("50 in (null..10]", "false"),
        ("null in [1..5]", "null"),
        ("null in (null, 1)", "true"),
        ("1 between null and 3", "null"),
        ('not("true")', "null"),
        ("not(null)", "null"),
    ],
)
def test_equality_and_order_know_null(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3 ** 4 ** 5", "3486784401"),
        ("-3 ** 2", "9"),
        ("2 * 3 ** 2", "18"),
        ("1 / 0", "null"),
        ("0 / 0", "null"),
        ('"a" * 3', "null"),
        ('"a" + 1', "null"),
        ("1 + null", "null"),
        ("null + null", "null"),
        ("true + 1", "null"),
        ('-"a"', "null"),
        ("0 ** -1", "null"),
        ("(-8) ** 0.5", "null"),
        ("0.1 * 3 = 0.3", "true"),
        ("9999999999999999999999999999999999 + 1", "10000000000000000000000000000000000"),
        ("12345678901234567890123456789012345", "12345678901234567890123456789012340"),
        ("99999999999999999999 * 99999999999999999999", "9999999999999999999800000000000000000000"),
        ("1e6144 * 10", "null"),
        ("-0.0", "0.0"),
    ],
)
def test_arithmetic_is_decimal_or_null(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100[true]", "[100]"),
        ("100[1]", "100"),
        ("100[2]", "null"),
        ("null[1]", "null"),
        ("null[true]", "[]"),
        ("[1, 2][0]", "null"),
        ("[1, 2][3]", "null"),
        ("[1, 2][-2]", "1"),
        ("[1, 2][-3]", "null"),
        ("[1, 2][1.5]", "null"),
        ("[][1]", "null"),
        ("[][item > 1]", "[]"),
        ("[{a: 1}, {b: 2}][a = 1]", "[{a: 1}]"),
        ("[{item: 5}][item = 5]", "[{item: 5}]"),
        ("[{a: 1}, {a: 2}].a", "[1, 2]"),
        ("[{a: [1]}, {}, {a: [2]}].a", "[[1], null, [2]]"),
        ('[1, "a", null][item > 0]', "[1]"),
        ("[[1, 2], [3]][1]", "[1, 2]"),
        ("[1, 2, 3][[1, 2]]", "[]"),
    ],
)
def test_filters_and_paths(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_a_filter_sees_entries_before_what_is_around() -> None:
    assert value_of("[{x: 1}, {x: 2}, {}][x = 2]", x=9) == [{"x": 2}]
    assert value_of("[{}][x = 9]", x=9) == [{}]
    assert value_of("for limit in [2] return [1, 2, 3][item > limit]") == [[3]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{a: 1, b: a}", "{a: 1, b: 1}"),
        ("{a: 1, a: 2}", "null"),
        ("{a: a}", "{a: 7}"),
        ("{a: 1}.b", "null"),
        ("null.b", "null"),
        ("{a: 1, b: {c: a}}.b.c", "1"),
    ],
)
def test_contexts(text: str, expected: str) -> None:
    assert shown(text, a=7) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("for x in 4..2 return x", "[4, 3, 2]"),
        ("for x in [2..1] return x", "null"),
        ("for x in null return x", "null"),
        ('for x in ["a".."c"] return x', "null"),
        ('for x in @"10:00:00"..@"12:00:00" return x', "null"),
        ("for x in 1.5..3 return x", "null"),
        ("for x in 1..2, y in 1..x return y", "[1, 1, 2]"),
        ("for x in [1, 2] return partial", "[[], [[]]]"),
        ("some x in null satisfies true", "null"),
        ("some x in [1, null] satisfies x > 5", "null"),
        ("some x in [1, null] satisfies x = 1", "true"),
        ("every x in [1, null] satisfies x > 0", "null"),
        ("every x in [1, null] satisfies x > 5", "false"),
    ],
)
def test_loops(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('@"2026-01-01T00:00:00.0001" = @"2026-01-01T00:00:00.0000"', "true"),
        ('@"2026-01-01T12:00:00-01:00" = @"2026-01-01T17:00:00+04:00"', "true"),
        ('@"2026-01-01T12:00:00" = @"2026-01-01T12:00:00Z"', "null"),
        ('@"12:00:00Z" < @"12:00:00-01:00"', "true"),
        ('@"P1Y" = @"P12M"', "true"),
        ('@"P1D" = @"PT24H"', "true"),
        ('@"P1Y" = @"P365D"', "null"),
        ('@"P1Y" < @"P365D"', "null"),
        ('@"2026-01-31" + @"P1M"', "2026-02-28"),
        ('@"2024-02-29" + @"P1Y"', "2025-02-28"),
        ('@"2026-03-31" - @"P1M"', "2026-02-28"),
        ('@"2026-01-01" - @"PT1S"', "2025-12-31"),
        ('@"2026-01-01" + @"PT25H"', "2026-01-02"),
        ('@"2026-01-02" - @"2026-01-01"', "P1D"),
        ('@"2026-01-02" - @"2026-01-01T00:00:00Z"', "P1D"),
        ('@"2026-01-02" - @"2026-01-01T00:00:00"', "null"),
        ('@"2026-01-02T00:00:00Z" - @"2026-01-01T00:00:00"', "null"),
        ('@"23:30:00" + @"PT1H"', "00:30:00"),
        ('@"00:30:00" - @"PT1H"', "23:30:00"),
        ('@"10:00:00" - @"08:30:00"', "PT1H30M"),
        ('@"10:00:00" + @"P1M"', "null"),
        ('@"P10Y11M" / -2.5', "-P4Y4M"),
        ('@"P1Y" / @"P6M"', "2"),
        ('@"P1D" / @"PT12H"', "2"),
        ('@"P1D" / 0', "null"),
        ('@"P1D" * 1.5', "P1DT12H"),
        ('2 * @"P1Y"', "P2Y"),
        ('@"P1D" + @"P1M"', "null"),
        ('-@"P1D"', "-P1D"),
        ('@"9999-12-31" + @"P1D"', "null"),
        ('@"0001-01-01" - @"P1D"', "null"),
        ('@"9999-12-31T23:59:59Z" = @"9999-12-31T23:59:59-10:00"', "false"),
        ('@"2026-01-01" < @"2026-01-01T00:00:00"', "null"),
        ('@"2026-10-25T02:30:00@Europe/Paris" + @"PT1H"', "2026-10-25T02:30:00@Europe/Paris"),
        ('@"2026-03-29T01:30:00@Europe/Paris" + @"PT1H"', "2026-03-29T03:30:00@Europe/Paris"),
        ('@"2026-01-01" in [@"2025-12-31"..@"2026-01-02"]', "true"),
    ],
)
def test_time(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('@"2026-03-04".year', "2026"),
        ('@"2026-03-04".month', "3"),
        ('@"2026-03-04".day', "4"),
        ('@"2026-03-04".weekday', "3"),
        ('@"2026-03-04".hour', "null"),
        ('@"2026-03-04T10:20:30.5+02:00".second', "30.5"),
        ('@"2026-03-04T10:20:30+02:00".time offset', "PT2H"),
        ('@"2026-03-04T10:20:30@Europe/Paris".timezone', '"Europe/Paris"'),
        ('@"10:20:30".time offset', "null"),
        ('@"P1DT2H3M4S".hours', "2"),
        ('@"-P1DT2H3M4S".minutes', "-3"),
        ('@"P1DT2H3M4.5S".seconds', "4.5"),
        ('@"P1D".years', "null"),
        ('@"P1Y2M".months', "2"),
        ('@"-P1Y2M".years', "-1"),
    ],
)
def test_properties(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_types_are_checked_in_calls_and_a_lone_value_stands_for_a_list_of_one() -> None:
    assert value_of('(function(x: number) x)("a")') is None
    assert value_of("(function(x: number) x)([5])") == 5
    assert value_of('(function(x: list<string>) x)("a")') == ["a"]
    assert value_of("(function(x) x)(1, 2)") is None
    assert value_of('string length(["abc"])') == 3


def test_a_variable_named_like_a_function_does_not_take_the_function_away() -> None:
    assert value_of('date("2026-01-01") = @"2026-01-01" and date = 5', date=5) is True
    assert value_of("for count in [1] return count([1, 2]) + count") == [3]


def test_a_missing_variable_is_null_and_explained() -> None:
    value, notes = compile_expression("amount + 1").explain({})
    assert value is None
    assert [(note.line, note.column) for note in notes] == [(1, 1), (1, 8)]
    assert notes[0].sentence == '"amount" is null or not known here.'


def test_explaining_gives_the_same_value_as_evaluating() -> None:
    expression = compile_expression('risk.score > 70 or country in ("DE", "FR")')
    variables = {"risk": {}, "country": "FR"}
    value, notes = expression.explain(variables)
    assert value is expression.evaluate(variables) is True
    assert any("score" in note.sentence for note in notes)


def test_numbers_of_json_become_decimals_without_passing_through_binary_fractions() -> None:
    assert value_of("x + y = 0.3", x=0.1, y=0.2) is True
    assert value_of("x.y[1] * 3", x={"y": [0.1]}) == Decimal("0.3")


@pytest.mark.parametrize(
    "text",
    ['time("10:00:00.1234567")', 'date and time("2026-01-31T10:00:00.0000001Z")', 'duration("PT0.0000001S")'],
)
def test_a_text_finer_than_a_microsecond_is_null_and_a_note_says_so(text: str) -> None:
    value, notes = compile_expression(text).explain({})
    assert value is None
    assert notes
    with pytest.raises(FeelError):
        compile_expression('@"10:00:00.1234567"')


def test_zeros_behind_the_microseconds_change_nothing() -> None:
    assert compile_expression('time("10:00:00.123456000") = time("10:00:00.123456")').evaluate({}) is True
    assert compile_expression('duration("PT1.500000000S") = duration("PT1.5S")').evaluate({}) is True


@pytest.mark.parametrize(
    "text",
    ['[@"2026-01-01"..@"2026-02-01")', '(@"10:00:00Z"..@"11:00:00Z"]', '[@"P1D"..@"P2D"]', '["a".."b"]', "[1..2]"],
)
def test_a_range_that_was_written_is_read_back(text: str) -> None:
    value = compile_expression(f"range(string({text})) = {text}")
    assert value.evaluate({}) is True
