"""The answers of a form: each value comes back in the type of its field, or with a sentence."""

import pytest

from app.engine.forms import Form, read_form


def form(kind: str) -> Form:
    options = ', "options": ["a", "b"]' if kind == "select" else ""
    drawn = f'{{"name": "x", "label": "X", "type": "{kind}"{options}}}'
    read, problems = read_form(
        f'{{"id": "f", "title": "F", "fields": [{drawn}], "decisions": [{{"value": "ok", "label": "ok"}}]}}'.encode()
    )
    assert read is not None, problems
    return read


@pytest.mark.parametrize("value", [["a"], {"a": "a"}, 1, True, "c"])
def test_what_is_no_option_of_a_select_is_refused(value: object) -> None:
    cleaned, errors = form("select").clean({"x": value})
    assert (cleaned, [error.message for error in errors]) == ({}, ["is not one of the options"])


@pytest.mark.parametrize("value", ["1e9999999", "-1e99999999999", 10**18 + 1, [1], {}, True, "NaN", "sNaN"])
def test_what_is_no_number_a_field_holds_is_refused(value: object) -> None:
    cleaned, errors = form("number").clean({"x": value})
    assert (cleaned, [error.message for error in errors]) == ({}, ["must be a number"])


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [("select", "a", "a"), ("number", "1.50", "1.50"), ("number", -(10**18), -(10**18)), ("boolean", "on", True)],
)
def test_an_answer_is_kept_in_the_type_of_its_field(kind: str, value: object, expected: object) -> None:
    assert form(kind).clean({"x": value}) == ({"x": expected}, [])
