"""The table of what is supported cannot rot: it names what the gate allows, and tests that are there."""

import ast
from functools import cache

import pytest

from tests import conformance


@cache
def promises_of(file: str) -> set[str]:
    tree = ast.parse((conformance.ROOT / "tests" / file).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_element_the_gate_allows_is_in_the_table_and_no_other() -> None:
    assert set(conformance.ELEMENTS) == conformance.drawn()
    assert set(conformance.ZEEBE) == conformance.extensions()


@pytest.mark.parametrize("proof", sorted(set(conformance.proofs())))
def test_the_proof_is_a_test_that_exists(proof: str) -> None:
    file, _, name = proof.partition("::")
    assert name in promises_of(file)


def test_every_family_of_feel_has_cases() -> None:
    counted = [row for file in conformance.FEEL for row in conformance.families(file)]
    assert len(counted) == 20
    assert all(cases for _, cases in counted)


def test_the_page_is_what_the_table_says() -> None:
    assert conformance.PAGE.read_text() == conformance.page(), "run `make conformance`"


def test_every_function_has_cases() -> None:
    assert all(cases for _, _, cases in conformance.functions())


def test_the_page_of_other_tools_is_what_the_gate_says() -> None:
    assert conformance.TOOLS_PAGE.read_text() == conformance.tools_page(), "run `make conformance`"
