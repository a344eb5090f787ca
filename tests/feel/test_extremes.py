"""What lies at the edge of a type is a value, null or a refusal with a sentence: nothing else comes out."""

import orjson
import pytest

from app.feel import FeelError, compile_expression, to_json

LONGEST = "P999999999DT23H59M59.999999S"


def value_of(text: str, **variables: object) -> object:
    return to_json(compile_expression(text).evaluate(variables))


@pytest.mark.parametrize("text", ['@"-P999999999DT1H"', '1 in @"-P999999999DT1H"', '@"P999999999Y9999999999M"'])
def test_a_literal_beyond_what_a_duration_holds_is_refused(text: str) -> None:
    with pytest.raises(FeelError, match="is not a date, time"):
        compile_expression(text)


@pytest.mark.parametrize(
    "text",
    [
        'duration("-P999999999DT1H")',
        '-duration("P999999999DT1H")',
        '@"2026-01-01" - @"P999999999DT1H"',
        '@"-P999999999D" - @"P999999999D"',
        '@"P999999999D" + @"P1D"',
        '@"P999999999Y11M" + @"P1M"',
        '-@"P999999999Y" - @"P1Y"',
        '@"P999999999Y" * 2',
        '@"P999999999Y" * 1e6000',
        'duration("-P9Y99999999999M")',
        '(@"P999999999Y" * 2).years',
    ],
)
def test_a_duration_beyond_what_can_be_written_is_null(text: str) -> None:
    assert value_of(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'@"{LONGEST}" - @"{LONGEST}"', "PT0S"),
        ('@"-P999999999D"', "-P999999999D"),
        ('-@"P999999999Y11M"', "-P999999999Y11M"),
        ('(@"P999999999Y11M").years', 999_999_999),
        ('@"P1Y" - @"P13M"', "-P1M"),
    ],
)
def test_a_duration_at_the_edge_is_kept(text: str, expected: object) -> None:
    assert value_of(text) == expected


@pytest.mark.parametrize("text", ["[null..{a: 1}]", "[[1]..null]", "[true..null]", "string([null..function(x) x])"])
def test_a_range_that_ends_at_what_has_no_order_is_null(text: str) -> None:
    assert value_of(text) is None


def nested(levels: int) -> list[object]:
    value: list[object] = []
    for _ in range(levels - 1):
        value = [value]
    return value


@pytest.mark.parametrize("levels", [400, 1600])
def test_a_value_that_grew_too_deep_does_not_leave(levels: int) -> None:
    with pytest.raises(FeelError, match=r"levels deep|too deep"):
        value_of(f"(for i in 1..{levels} return [partial[-1]])[-1]")


@pytest.mark.parametrize("levels", [150, 400, 3000])
def test_a_variable_that_is_too_deep_is_not_read(levels: int) -> None:
    with pytest.raises(FeelError, match=r"levels deep|too deep"):
        compile_expression("string(x)").evaluate({"x": nested(levels)})


def test_a_value_of_some_depth_is_read_and_can_be_written() -> None:
    assert orjson.loads(orjson.dumps(value_of("x", x=nested(90)))) == nested(90)


@pytest.mark.parametrize("text", ["-1.234567890123456789012345678901234", "-(1.234567890123456789012345678901234)"])
def test_a_negative_number_keeps_its_34_digits(text: str) -> None:
    assert value_of(f"string({text})") == "-1.234567890123456789012345678901234"
    assert value_of(f"x in [{text}..0]", x=-1) is True
    assert compile_expression(f"1 + {text}").evaluate({}) == compile_expression(
        "-0.234567890123456789012345678901234"
    ).evaluate({})


@pytest.mark.parametrize("text", ["[1..-P1D]", "[1..x]", "[x..2]", '[1..-@\\"P1D\\"]', "[null..null]", "[true..true]"])
def test_a_text_whose_ends_are_no_constants_of_one_order_is_no_range(text: str) -> None:
    assert value_of(f'range("{text}")') is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[-@\\"P2D\\"..-@\\"P1D\\"]', '[@"-P2D"..@"-P1D"]'),
        ("[-1.234567890123456789012345678901234..0)", "[-1.234567890123456789012345678901234..0)"),
        ("[null..5]", "[null..5]"),
        ("(>3)", None),
    ],
)
def test_a_text_with_negative_or_absent_ends_is_a_range(text: str, expected: str | None) -> None:
    assert value_of(f'range("{text}")') == (expected or text)


def test_a_key_is_written_so_that_it_can_be_read_again() -> None:
    written = value_of(r'string({"a\"b": 1, "c\\d": 2, e f: 3})')
    assert written == r'{"a\"b": 1, "c\\d": 2, e f: 3}'
    assert value_of(str(written)) == {'a"b': 1, "c\\d": 2, "e f": 3}
