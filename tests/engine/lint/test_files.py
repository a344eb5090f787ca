"""Files as a whole: what each holds, what cannot be read at all, and how those deployed together see each other."""

import time
from collections.abc import Mapping

import pytest

from app.engine.lint import Upload, examine, lint
from tests.engine.lint.cases import one
from tests.engine.lint.draw import FORM, KNOWN, TABLE, bpmn, call, end, findings, path, script, start
from tests.engine.lint.test_gate import codes

FILES: Mapping[str, tuple[str, bytes, str]] = {
    "a folder": ("flows", b"", "unknown_file_kind"),
    "nothing": ("a.bpmn", b"", "unreadable_file"),
    "no xml": ("a.bpmn", b"import os", "unreadable_file"),
    "another format": ("a.bpmn", b"<html/>", "unreadable_file"),
    "a table as a diagram": ("a.bpmn", TABLE, "unreadable_file"),
    "a diagram as a table": ("a.dmn", one(script("a")), "decision_not_dmn"),
    "another encoding": ("a.bpmn", "<a/>".encode("utf-16"), "unreadable_file"),
    "a declared encoding": ("a.bpmn", b'<?xml version="1.0" encoding="utf-7"?><a/>', "unreadable_file"),
    "a document type": ("a.bpmn", b"<!DOCTYPE bomb [<!ENTITY a 'b'>]><a>&a;</a>", "unreadable_file"),
    "a table's document type": ("a.dmn", b"<!DOCTYPE bomb>" + TABLE[40:], "unreadable_file"),
    "ten megabytes": ("a.bpmn", one(script("a")) + b" " * 10_000_000, "unreadable_file"),
    "a large table": ("a.dmn", TABLE + b" " * 10_000_000, "unreadable_file"),
    "a large form": ("a.form.json", FORM + b" " * 10_000_000, "invalid_form"),
    "many elements": ("a.bpmn", b"<a>" + b"<b/>" * 6000 + b"</a>", "unreadable_file"),
    "deep elements": ("a.bpmn", b"<b>" * 70 + b"</b>" * 70, "unreadable_file"),
    "very deep elements": ("a.bpmn", b"<b>" * 100_000 + b"</b>" * 100_000, "unreadable_file"),
    "a form without decisions": ("a.form.json", b'{"id": "a", "title": "A", "decisions": []}', "invalid_form"),
    "a form that is no JSON": ("a.form.json", b"{", "invalid_form"),
    "a wrong expression": ("a.dmn", TABLE.replace(b"&gt; 1000", b"&gt; &gt;"), "decision_invalid_expression"),
}


KINDS: Mapping[str, tuple[bytes, str]] = {
    "flow.bpmn20.xml": (one(script("a")), "flow"),
    "risk.xml": (TABLE, "risk"),
    "an older table.xml": (TABLE.replace(b"20191111", b"20180521"), ""),
    "form.json": (FORM, "review"),
    "\ufefffile": (b"\xef\xbb\xbf" + one(script("a")), "flow"),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_a_file_of_another_name_holds_is_told_by_its_content(name: str) -> None:
    content, key = KINDS[name]
    (found,) = examine([Upload(name, content)], KNOWN)
    assert (found.key, [finding.code for finding in found.findings]) == (key, [] if key else ["decision_not_dmn"])


@pytest.mark.parametrize("content", [b"<html/>", b'{"id": "a"}', b"[1]", b"%PDF", b"<a>", b"{" * 10**6])
def test_what_is_none_of_them_is_refused_by_its_name(content: bytes) -> None:
    assert [finding.code for finding in findings(content, name="a.xml")] == ["unknown_file_kind"]


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_cannot_be_read_is_a_finding_at_once(what: str) -> None:
    name, content, code = FILES[what]
    began = time.perf_counter()
    found = findings(content, name=name)
    assert time.perf_counter() - began < 1
    assert [finding.code for finding in found] == [code]
    assert found[0].severity == "error"
    assert found[0].message
    assert found[0].remedy
    assert found[0].file == name


def test_names_of_a_table_that_are_not_there_are_findings() -> None:
    data = b'<inputData id="in" name="amount"/>'
    needs = b'<informationRequirement><requiredInput href="#in"/></informationRequirement><decisionTable '
    declared = TABLE.replace(b"<decision id", data + b"<decision id").replace(b"<decisionTable ", needs)
    assert findings(declared, name="a.dmn") == []
    wrong = declared.replace(b"<text>amount", b"<text>amuont").replace(b"<text>90", b"<text>flor(1.5)")
    found = findings(wrong, name="a.dmn")
    assert [(finding.code, finding.severity.value) for finding in found] == [
        ("decision_unknown_name", "warning"),
        ("decision_unknown_function", "error"),
    ]
    assert 'Did you mean "amount"?' in found[0].remedy
    assert all(f'id="{finding.element}"'.encode() in wrong.splitlines()[(finding.line or 0) - 1] for finding in found)


def test_an_entity_is_never_read_from_a_file() -> None:
    secret = b"<!DOCTYPE a [<!ENTITY secret SYSTEM 'file:///etc/passwd'>]><a>&secret;</a>"
    assert all("root:" not in finding.message for finding in findings(secret))
    assert codes(secret) == ["unreadable_file"]


def test_files_deployed_together_know_each_other_and_clash_by_key() -> None:
    child = Upload("new.bpmn", bpmn(start(), end(), path("start", "end"), process="new"))
    parent = Upload("flow.bpmn", one(call("a", "new")))
    assert lint([parent, child], KNOWN) == []
    assert [finding.code for finding in lint([parent], KNOWN)] == ["unknown_process"]
    assert {finding.code for finding in lint([child, child], KNOWN)} == {"duplicate_key"}
    other = Upload("other.dmn", TABLE.replace(b'id="risk"', b'id="other"'))
    assert [finding.element for finding in lint([other], KNOWN)] == ["risk-score"]
    assert {finding.code for finding in lint([child] * 60, KNOWN)} == {"too_many_files"}


def test_two_files_cannot_call_each_other() -> None:
    one_way = Upload("one.bpmn", bpmn(start(), call("a", "two"), end(), path("start", "a", "end"), process="one"))
    back = Upload("two.bpmn", bpmn(start(), call("a", "one"), end(), path("start", "a", "end"), process="two"))
    assert {(finding.code, finding.file) for finding in lint([one_way, back], KNOWN)} == {
        ("call_cycle", "one.bpmn"),
        ("call_cycle", "two.bpmn"),
    }
