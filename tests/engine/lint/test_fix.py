"""What the gate corrects by itself: each correction silences its finding, changes nothing else, and is done once."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from app.commands.flows import lint_files
from app.engine.lint.fix import corrected
from tests.engine.lint.cases import all_cases, forked, one
from tests.engine.lint.draw import bpmn, element, end, findings, mapped, path, script, service, start, timer_event, user

LISTED = "<bpmn:incoming>gone</bpmn:incoming>"
TIMER = element("intermediateCatchEvent", "wait", timer_event(" pt 5M "))
TWICE = service("a", "risk.record", ("=1", "amount"), ("=1", "amount"))
COUNTING = service("a", "risk.record", ("=1", "amount"), ("=amount + 1", "amount"), ("=amount + 1", "amount"))
OUTPUT = mapped(outputs=(("=1", "n"), ("=1", "n")))
AGAIN = "<zeebe:script expression='=1' resultVariable='n'/></bpmn:ext"


def headed(value: str) -> str:
    header = f'<zeebe:taskHeaders><zeebe:header key="url" value="{value}"/></zeebe:taskHeaders>'
    drawn = service("a", "risk.record", ("=1", "amount"))
    return drawn.replace("</bpmn:ext", f"{header}</bpmn:ext")


FIXABLE = [
    ("not_executable", one(script("a")).replace(b' isExecutable="true"', b"")),
    ("gateway_without_default", forked("")),
    ("condition_on_default", forked(no="=n")),
    ("invalid_timer", one(TIMER, name="wait")),
    ("duplicate_parameter", one(TWICE)),
    ("duplicate_output", one(script("a").replace("<zeebe:script", f"{OUTPUT}<zeebe:script"))),
    ("invalid_retries", one(service("a", "risk.record", ("=1", "amount")).replace('"3"', '""'))),
    (
        "repeated_extension",
        one(script("a").replace("</bpmn:ext", AGAIN)),
    ),
    ("unsupported_extension", one(headed(""))),
    ("dangling_reference", one(script("a").replace("</bpmn:extensionElements>", f"</bpmn:extensionElements>{LISTED}"))),
]
NOT_SAFE = [
    ("not_executable", one(script("a")).replace(b'isExecutable="true"', b'isExecutable="false"')),
    ("gateway_without_default", forked("", no="=n")),
    ("flow_without_condition", forked(yes="")),
    ("invalid_timer", one(element("intermediateCatchEvent", "wait", timer_event("5 minutes")), name="wait")),
    ("duplicate_parameter", one(COUNTING)),
    ("unsupported_extension", one(headed("https://shop.test"))),
    ("unknown_parameter", one(service("a", "risk.record", ("=1", "amount"), ("x", "gatewy")))),
    ("invalid_retries", one(service("a", "risk.record", ("=1", "amount")).replace('"3"', '"often"'))),
]


@pytest.mark.parametrize(("code", "drawn"), FIXABLE, ids=[code for code, _ in FIXABLE])
def test_a_correction_silences_its_finding_and_brings_no_other(code: str, drawn: bytes) -> None:
    before = findings(drawn)
    assert [found.view()["fixable"] for found in before if found.code == code] == [True]
    fixed, applied = corrected(drawn, before)
    assert [found.code for found in applied] == [code]
    after = findings(fixed)
    assert code not in [found.code for found in after]
    assert {found.code for found in after} <= {found.code for found in before}
    assert corrected(fixed, before) == (fixed, [])


@pytest.mark.parametrize(("code", "drawn"), NOT_SAFE, ids=[code for code, _ in NOT_SAFE])
def test_what_only_its_author_can_decide_is_left_alone(code: str, drawn: bytes) -> None:
    found = [finding for finding in findings(drawn) if finding.code == code]
    assert found
    assert [finding.fix for finding in found] == [None] * len(found)
    assert corrected(drawn, found) == (drawn, [])


def test_the_rest_of_the_file_stays_as_it_was() -> None:
    drawn = forked("").replace(b"<bpmn:exclusiveGateway", b"<!-- a note -->\n  <bpmn:exclusiveGateway")
    fixed, _ = corrected(drawn, findings(drawn))
    assert fixed.replace(b' default="g-no"', b"") == corrected_nothing(drawn)
    assert b"<!-- a note -->\n  <bpmn:exclusiveGateway" in fixed


def corrected_nothing(drawn: bytes) -> bytes:
    """The file as it is written when all that changes is undone again."""
    fixed, _ = corrected(drawn, findings(drawn))
    undone = fixed.replace(b' default="g-no"', b"")
    assert len(undone.splitlines()) == len(drawn.splitlines())
    return undone


def test_every_offered_correction_of_the_gates_own_cases_works() -> None:
    offered = [(case, found) for case in all_cases() for found in findings(case.content) if found.fix is not None]
    assert offered
    for case, found in offered:
        fixed, applied = corrected(case.content, [found])
        assert applied == [found], case.code
        assert found not in findings(fixed), case.code


def test_the_command_corrects_files_and_tells_what_it_did(tmp_path: Path) -> None:
    file = tmp_path / "flow.bpmn"
    file.write_bytes(bpmn(start(), TIMER, end(), path("start", "wait", "end")).replace(b' isExecutable="true"', b""))
    refused = CliRunner().invoke(lint_files, [str(tmp_path)])
    assert refused.exit_code == 1
    assert "(--fix can do it)" in refused.output
    done = CliRunner().invoke(lint_files, ["--fix", str(tmp_path)])
    assert "FIXED    not_executable" in done.output
    assert "Wrote the time as PT5M" in done.output
    assert done.exit_code == 0
    assert CliRunner().invoke(lint_files, [str(file)]).output.endswith("0 errors, 0 warnings\n")


def test_files_of_one_name_in_two_folders_are_each_corrected(tmp_path: Path) -> None:
    for process, tag in (("one", "PT5M"), ("two", "PT7M")):
        (tmp_path / process).mkdir()
        waiting = element("intermediateCatchEvent", "wait", timer_event(tag.lower()))
        drawn = bpmn(start(), waiting, end(), path("start", "wait", "end"), process=process)
        (tmp_path / process / "flow.bpmn").write_bytes(drawn)
    done = CliRunner().invoke(lint_files, ["--fix", str(tmp_path)])
    assert done.exit_code == 0
    assert done.output.count("FIXED    invalid_timer") == 2
    assert b">PT5M<" in (tmp_path / "one" / "flow.bpmn").read_bytes()
    assert b">PT7M<" in (tmp_path / "two" / "flow.bpmn").read_bytes()
    assert b'process id="two"' in (tmp_path / "two" / "flow.bpmn").read_bytes()


def test_what_can_be_corrected_says_so_in_the_shape_of_the_api() -> None:
    drawn = bpmn(start(), TIMER, end(), path("start", "wait", "end"))
    nameless = bpmn(start(), user("a"), end(), path("start", "a", "end")).replace(b'name="A"', b"")
    views = [found.view() for found in (*findings(drawn), *findings(nameless))]
    assert {view["code"]: view["fixable"] for view in views} == {"invalid_timer": True, "missing_name": False}
