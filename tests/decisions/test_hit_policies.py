"""What each hit policy makes of the rules that hold."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.decisions import DecisionFailed, DmnError, Evaluation, parse_decisions
from tests.decisions.dmn import decision, document, table

RULES = [["> 10", '"low"', "1"], ["> 20", '"high"', "5"], ["> 30", '"medium"', "3"]]


def evaluate(logic: str, **variables: Any) -> Evaluation:
    return parse_decisions(document(decision(logic))).evaluate("d", variables)


def output(policy: str, amount: int, **extra: Any) -> Any:
    rules = [[test, result] for test, result, _ in RULES]
    return evaluate(table(policy, ["amount"], ["level"], rules, **extra), amount=amount).output


def numbers(policy: str, amount: int, **extra: Any) -> Any:
    rules = [[test, number] for test, _, number in RULES]
    return evaluate(table(policy, ["amount"], ["points"], rules, **extra), amount=amount).output


def test_unique_gives_the_value_of_the_only_rule_that_holds() -> None:
    assert output("UNIQUE", 15) == "low"


def test_unique_with_two_rules_fails_and_names_both() -> None:
    with pytest.raises(DecisionFailed, match=r"Rules 1 \(r1\) and 2 \(r2\)") as failed:
        output("UNIQUE", 25)
    assert failed.value.code == "decision_failed"
    assert failed.value.rules == ("1 (r1)", "2 (r2)")


def test_no_rule_gives_null_an_empty_list_or_the_default() -> None:
    assert output("UNIQUE", 5) is None
    assert output("COLLECT", 5) == []
    assert output("RULE ORDER", 5) == []
    assert output("FIRST", 5, defaults=['"none"']) == "none"
    assert output("COLLECT", 5, defaults=['"none"']) == ["none"]


def test_any_accepts_several_rules_with_equal_outputs_only() -> None:
    same = table("ANY", ["amount"], ["level"], [["> 1", "1.0"], ["> 2", "1"], ["> 50", "2"]])
    assert evaluate(same, amount=10).output == 1
    with pytest.raises(DecisionFailed, match=r"Rules 1 \(r1\) and 3 \(r3\)"):
        evaluate(same, amount=60)


def test_first_stops_at_the_first_rule_that_holds() -> None:
    assert output("FIRST", 35) == "low"


def test_priority_follows_the_order_of_the_output_values() -> None:
    order = ['"high", "medium", "low"']
    assert output("PRIORITY", 35, values=order) == "high"
    assert output("PRIORITY", 15, values=order) == "low"


def test_priority_over_several_outputs_compares_them_from_the_left() -> None:
    logic = table(
        "PRIORITY",
        ["amount"],
        ["level", "speed"],
        [["> 1", '"a"', '"slow"'], ["> 1", '"a"', '"fast"'], ["> 1", '"b"', '"fast"']],
        values=['"a","b"', '"fast","slow"'],
    )
    assert evaluate(logic, amount=2).output == {"level": "a", "speed": "fast"}


def test_rule_order_lists_results_as_the_rules_stand() -> None:
    assert output("RULE ORDER", 35) == ["low", "high", "medium"]


def test_output_order_lists_results_by_priority() -> None:
    assert output("OUTPUT ORDER", 35, values=['"high", "medium", "low"']) == ["high", "medium", "low"]


@pytest.mark.parametrize(
    ("aggregation", "expected"), [("", [1, 5, 3]), ("SUM", 9), ("COUNT", 3), ("MIN", 1), ("MAX", 5)]
)
def test_collect_lists_or_aggregates(aggregation: str, expected: Any) -> None:
    assert numbers("COLLECT", 35, aggregation=aggregation) == expected


def test_aggregating_nothing_counts_zero_and_sums_to_null() -> None:
    assert numbers("COLLECT", 5, aggregation="COUNT") == 0
    assert numbers("COLLECT", 5, aggregation="SUM") is None


@pytest.mark.parametrize(
    "values", [['"a"', '"b"'], ['"a"'], ["1", '"b"'], ["1", "null"], ["[1]", "[2]"], ["1", '@"P1D"']]
)
def test_what_is_no_number_or_duration_has_no_sum(values: list[str]) -> None:
    logic = table("COLLECT", ["amount"], ["fee"], [["> 1", value] for value in values], aggregation="SUM")
    assert evaluate(logic, amount=3).output is None


def test_durations_have_a_sum() -> None:
    logic = table("COLLECT", ["amount"], ["wait"], [["> 1", '@"P1D"'], ["> 2", '@"PT1H"']], aggregation="SUM")
    assert evaluate(logic, amount=3).output == timedelta(days=1, hours=1)


@pytest.mark.parametrize(
    ("allowed", "good", "bad"),
    [
        ("[0..100]", 100, 101),
        ("<= 100", -5, 101),
        ("1, 2, [10..20]", 15, 3),
        ('"a", "b"', "b", "c"),
        ("true", True, False),
        ('date("2026-01-01"), > date("2027-01-01")', date(2028, 1, 1), date(2026, 1, 2)),
    ],
)
def test_output_values_are_tests_of_what_a_rule_gives(allowed: str, good: object, bad: object) -> None:
    logic = table("FIRST", ["amount"], ["x"], [["-", "amount"]], values=[allowed])
    assert evaluate(logic, amount=good).output == good
    with pytest.raises(DecisionFailed, match=r"Rule 1 \(r1\) gives .*; allowed is "):
        evaluate(logic, amount=bad)


@pytest.mark.parametrize("policy", ["PRIORITY", "OUTPUT ORDER"])
@pytest.mark.parametrize("listed", ["[0..100]", "<= 100", '"a", > 3', '"a", other', "1, for i in 1..9999 return i"])
def test_a_priority_is_an_order_of_values_and_nothing_else(policy: str, listed: str) -> None:
    with pytest.raises(DmnError) as refused:
        parse_decisions(document(decision(table(policy, ["amount"], ["x"], [["-", "1"]], values=[listed]))))
    finding = refused.value.findings[0]
    assert (finding.code, "is not a value" in finding.message) == ("hit_policy", True)


def test_a_priority_may_be_among_negative_numbers_and_dates() -> None:
    order = ['-2, date("2026-01-01"), 3']
    logic = table("OUTPUT ORDER", ["amount"], ["x"], [["-", "3"], ["-", '@"2026-01-01"'], ["-", "-2"]], values=order)
    assert evaluate(logic, amount=1).output == [-2, date(2026, 1, 1), 3]


def test_sums_are_decimal() -> None:
    logic = table("COLLECT", ["amount"], ["fee"], [["> 1", "0.1"], ["> 2", "0.2"]], aggregation="SUM")
    assert evaluate(logic, amount=3).output == Decimal("0.3")


def test_several_outputs_give_a_context() -> None:
    logic = table("FIRST", ["amount"], ["route", "fee"], [["> 1", '"acme"', "amount * 0.1"]])
    assert evaluate(logic, amount=50).output == {"route": "acme", "fee": Decimal("5.0")}


def test_the_evaluation_says_what_was_read_and_which_rules_held() -> None:
    made = evaluate(
        table("COLLECT", ["amount", "country"], ["level"], [["> 10", "-", "1"], ["> 20", '"DE"', "2"]]),
        amount=25,
        country="DE",
    )
    assert made.inputs == {"amount": 25, "country": "DE"}
    assert [(rule.index, rule.rule, rule.annotation, rule.outputs) for rule in made.matched] == [
        (1, "r1", "Rule 1", {"level": 1}),
        (2, "r2", "Rule 2", {"level": 2}),
    ]


def test_an_input_outside_its_allowed_values_fails_and_null_does_not() -> None:
    logic = table("FIRST", ["level"], ["x"], [['"a"', "1"], ["null", "2"]], allowed='"a","b"')
    assert evaluate(logic, level="a").output == 1
    assert evaluate(logic, level=None).output == 2
    with pytest.raises(DecisionFailed, match='"level" is \'z\'; allowed is "a","b"'):
        evaluate(logic, level="z")


def test_an_output_outside_its_allowed_values_fails() -> None:
    logic = table("FIRST", ["level"], ["x"], [["-", "level"]], values=['"a","b"'])
    assert evaluate(logic, level="b").output == "b"
    with pytest.raises(DecisionFailed, match=r"Rule 1 \(r1\) gives 'z'"):
        evaluate(logic, level="z")


def test_a_default_is_held_to_the_output_values_like_a_rule() -> None:
    logic = table("FIRST", ["level"], ["x"], [['"a"', "1"]], values=['"a","b"'], defaults=["level"])
    assert evaluate(logic, level="b").output == "b"
    assert evaluate(logic, level=None).output is None
    with pytest.raises(DecisionFailed, match="The default gives 'z' for \"x\"; allowed is"):
        evaluate(logic, level="z")


def test_a_default_that_is_never_allowed_is_refused() -> None:
    with pytest.raises(DmnError) as refused:
        output("FIRST", 1, values=['"low","high"'], defaults=['"none"'])
    (finding,) = refused.value.findings
    assert (finding.code, finding.message) == (
        "incomplete",
        """The default gives 'none' for "level"; allowed is "low","high".""",
    )
    assert evaluate(table("FIRST", ["a"], ["x"], [["1", "1"]], values=["1, b"], defaults=["2"]), b=2).output == 2
    assert output("FIRST", 1, values=['"low","high"'], defaults=["null"]) is None
    assert output("FIRST", 1, values=['"low","high"'], defaults=['lower case("LOW")']) == "low"


@pytest.mark.parametrize(
    ("policy", "extra"),
    [
        ("BEST", {}),
        ("UNIQUE", {"aggregation": "SUM"}),
        ("COLLECT", {"aggregation": "MEAN"}),
        ("PRIORITY", {}),
        ("OUTPUT ORDER", {}),
    ],
)
def test_a_policy_that_cannot_work_is_refused(policy: str, extra: dict[str, Any]) -> None:
    with pytest.raises(DmnError) as refused:
        output(policy, 1, **extra)
    assert [finding.code for finding in refused.value.findings] == ["hit_policy"]
