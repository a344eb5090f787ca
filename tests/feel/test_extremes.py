"""What lies at the edge of a type is a value, null or a refusal with a sentence: nothing else comes out."""

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
