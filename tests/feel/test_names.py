"""What an expression says about itself before it runs: the names it reads, and where it is wrong."""

from typing import Any

import pytest

from app.feel import FeelError, compile_expression, compile_unary_tests
from app.feel.lexer import MAX_NAME, Names, Token, tokens


@pytest.mark.parametrize(
    ("text", "names", "paths", "possible"),
    [
        ("payment.amount > limit", {"payment", "limit"}, {"payment.amount"}, set()),
        ("a.b.c + a.d", {"a"}, {"a.b.c", "a.d"}, set()),
        ("count(items)", {"items"}, set(), set()),
        ("date(date)", {"date"}, set(), set()),
        ("score(items)", {"score", "items"}, set(), set()),
        ("items[amount > limit].id", {"items"}, set(), {"amount", "limit"}),
        ("items[item > 1]", {"items"}, set(), set()),
        ("for x in items, y in x.parts return x + y + z + count(partial)", {"items", "z"}, set(), set()),
        ("some x in items satisfies x = y", {"items", "y"}, set(), set()),
        ("{a: b, c: a}.c", {"b"}, set(), set()),
        ("(function(a) a + b)(1)", {"b"}, set(), set()),
        ("x in (? > y)", {"x", "y"}, set(), set()),
        ("if a then b else c", {"a", "b", "c"}, set(), set()),
        ("1 + 2", set(), set(), set()),
    ],
)
def test_the_names_an_expression_reads(text: str, names: set[str], paths: set[str], possible: set[str]) -> None:
    expression = compile_expression(text)
    assert (expression.names, expression.paths) == (names, paths)
    assert expression.possible == possible


def test_an_unknown_name_is_found_with_its_place_and_a_suggestion() -> None:
    expression = compile_expression("amount > 1 and\n  curency = limit")
    errors = expression.unknown(frozenset({"amount", "currency"}))
    assert [(error.line, error.column) for error in errors] == [(2, 3), (2, 13)]
    assert errors[0].sentence == '"curency" is not known here. Did you mean "currency"?'
    assert errors[1].sentence == '"limit" is not known here.'


def test_an_unknown_function_is_found_with_a_suggestion() -> None:
    for errors in (
        compile_expression("sums(l)").uncallable(frozenset({"l"})),
        compile_expression("l[sums(item) > 1]").uncallable(frozenset({"l"})),
        compile_unary_tests("> sums(l)").uncallable(frozenset({"l"})),
    ):
        assert [error.sentence for error in errors] == ['"sums" is not known here. Did you mean "sum"?']
    assert compile_expression("{f: function(x) x, y: f(1)}.y + g(2)").uncallable(frozenset({"g"})) == []
    assert compile_expression("{f: function(x) f(x - 1)}").uncallable(frozenset()) == []


def test_a_call_that_can_never_fit_is_found() -> None:
    errors = compile_expression('substring("a") + floor(number: 1) + ceiling(n: 1)').uncallable(frozenset())
    assert [error.sentence.split("(")[0] for error in errors] == ["substring", "floor"]


def test_names_inside_filters_are_not_held_against_the_expression() -> None:
    assert compile_expression("items[amount > 5]").unknown(frozenset({"items"})) == []


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("", 1, "Expected a value, found the end"),
        ("1 +", 4, "Expected a value"),
        ("1 2", 3, "cannot stand here"),
        ("full name", 6, "names with spaces must be known"),
        ("a == b", 4, "Expected a value"),
        ("1 < 2 < 3", 7, "do not chain"),
        ("a && b", 3, 'Write "and"'),
        ("!a", 1, "not(...)"),
        ('"abc', 1, "closing quote"),
        ("“abc”", 1, "straight quotes"),
        ("#", 1, "has no meaning"),
        ("(1", 3, 'Expected ")"'),
        ("[1, 2", 6, 'Expected "]"'),
        ("[1..2", 6, "at the end of the range"),
        ("]1, 2]", 3, 'Expected ".."'),
        ("{a: 1", 6, 'Expected "}"'),
        ("{a 1}", 5, 'Expected ":"'),
        ("{1: 2}", 2, "Expected a name"),
        ("if a then b", 12, 'Expected "else"'),
        ("if a b", 6, 'Expected "then"'),
        ("for x return 1", 15, 'Expected "in"'),
        ("for x in y", 11, 'Expected "return"'),
        ("some x in y", 12, 'Expected "satisfies"'),
        ("f(1", 4, 'Expected ")"'),
        ("f(a: 1, 2)", 2, "Name all arguments"),
        ("a.", 3, "Expected a name after the dot"),
        ("a.1", 2, "cannot stand here"),
        ("a between 1", 12, 'Expected "and"'),
        ("1..5", 2, "A range needs brackets"),
        ("1 instance number", 12, 'Expected "of"'),
        ("1 instance of money", 15, "is not a type"),
        ("1 instance of list<number, string>", 15, "takes one type"),
        ("function(a) external {}", 13, "External functions are not supported"),
        ('@"2026-02-30"', 1, "is not a date"),
        ('@"12026-02-03"', 1, "years 1 to 9999"),
        ('"\\uD800"', 1, "not a Unicode character"),
        ("(!= 5)", 2, "write not(...) instead"),
        ("1e7000", 1, "too large"),
        ("5 in (1, ", 10, "Expected a value"),
    ],
)
def test_an_error_says_where_and_what(text: str, column: int, words: str) -> None:
    with pytest.raises(FeelError) as refused:
        compile_expression(text)
    assert words in refused.value.sentence
    assert (refused.value.line, refused.value.column) == (1, column)
    assert refused.value.text == text
    assert refused.value.status == 422


@pytest.mark.parametrize(
    ("cell", "value", "expected"),
    [
        ("-", None, True),
        ("5", 5, True),
        ("5", 6, False),
        ("5", "5", None),
        ("5", None, False),
        ("null", None, True),
        ('"A","B"', "B", True),
        ('"A","B"', "C", False),
        ('["A","B"]', "B", True),
        ("< 10", 5, True),
        (">= 10", 5, False),
        ("< 10", None, None),
        ("!= 5", 6, True),
        ("= 5", 5, True),
        ("[1..5]", 5, True),
        ("[1..5)", 5, False),
        ("]1..5[", 3, True),
        ("(1..5),[7..9]", 8, True),
        ("[1..5]", "x", None),
        ('[@"2026-01-01"..@"2026-02-01")', "2026-01-15", None),
        ("not(1, 2)", 3, True),
        ("not(1, 2)", 2, False),
        ("not(< 5)", 7, True),
        ("not(< 5)", None, None),
        ('not("a")', "b", True),
        ('not(contains(?, "x"))', "abc", True),
        ('not(contains(?, "x")) and ? != "q"', "q", False),
        ('contains(?, "b")', "abc", True),
        ("? > 5 and ? < 10", 7, True),
        ("? * 2 = 10", 5, True),
        ("limit", 9, True),
        ("limit + 1", 10, True),
        ("< limit", 8, True),
        ("limit > 5", 1, True),
        ("limit > 5", True, True),
        ("limit > 5", False, False),
        ("true", True, True),
        ("true", False, False),
        ("true", 5, None),
        ("listed", 2, True),
        ("listed", 3, False),
        ("-5", -5, True),
        ("some x in listed satisfies x = ?", 1, True),
        ("(> 5)", 6, True),
        ("[1, 2]", [1, 2], True),
    ],
)
def test_a_cell_matches(cell: str, value: Any, expected: bool | None) -> None:
    assert compile_unary_tests(cell).matches(value, {"limit": 9, "listed": [1, 2]}) is expected


@pytest.mark.parametrize("cell", ["", ",", "1,", "not(", "< ", "1..5", "5 6", "- -"])
def test_a_cell_that_makes_no_sense_is_refused(cell: str) -> None:
    with pytest.raises(FeelError):
        compile_unary_tests(cell)


def test_a_cell_names_the_variables_it_reads() -> None:
    assert compile_unary_tests("< limit, ? > other").names == {"limit", "other"}


def test_compiling_twice_gives_the_same_expression() -> None:
    assert compile_expression("a + 1") is compile_expression("a + 1")
    assert compile_expression("a-b", frozenset({"a-b"})) is not compile_expression("a-b")


def test_looking_for_names_costs_so_much_for_each_token_however_long_a_name_is() -> None:
    looked_at = 0

    class Counted(list[Token]):
        def __getitem__(self, index: Any) -> Any:
            nonlocal looked_at
            looked_at += 1
            return super().__getitem__(index)

    found = Counted(tokens("a " * 2_000))
    names = Names([" ".join(["a"] * 2_000) + " z", "a" + "-a" * 2_000, " ".join(["a"] * MAX_NAME) + " z"])
    assert all(names.longest(found, index) is None for index in range(len(found)))
    assert looked_at <= len(found) * MAX_NAME
    assert Names([" ".join(["a"] * MAX_NAME)]).longest(found, 0) == (" ".join(["a"] * MAX_NAME), MAX_NAME)
