"""Flows: uploading past the gate, publishing by another person, and the drawings."""

import io
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import orjson
from sqlalchemy import select
from werkzeug.test import TestResponse

import handlers
from app.engine.models import Definition
from app.engine.shipped import ENDINGS
from app.kit.database import Database
from tests.console.conftest import Visitor
from tests.console.seed import DIAGRAMS, Seeded
from tests.engine.lint.draw import TABLE, bpmn, end, path, rule, start

Come = Callable[[str], Visitor]
assert handlers  # importing them declares the operations that our own flows call
JUDGE = bpmn(start(), rule("r", "risk-score"), end(), path("start", "r", "end"), process="judge")
WORKFLOWS = Path(__file__).parents[2] / "workflows"


def upload(person: Visitor, *files: Path) -> TestResponse:
    parts = [(io.BytesIO(path.read_bytes()), path.name) for path in files]
    return person.post("/flows/new", files=parts)


def test_a_form_is_stored_as_a_draft_that_another_person_publishes(
    visitor: Come, database: Database, seeded: Seeded, tmp_path: Path
) -> None:
    changed = tmp_path / "review.form.json"
    changed.write_bytes((DIAGRAMS / "review.form.json").read_bytes().replace(b"Customer was called", b"Called back"))
    author, other = visitor("analyst"), visitor("analyst2")
    assert upload(author, changed).location == "/flows/review?kind=form"
    with database.begin() as tx:
        made = tx.session.scalars(select(Definition).where(Definition.key == "review", Definition.version == 2)).one()
    assert made.status == "draft"
    assert "Waiting to be published" in other.read("/flows")
    author.post("/flows/review/publish", definition=made.id, kind="form")
    assert "You deployed review version 2 yourself" in author.read("/flows/review?kind=form")
    other.post("/flows/review/publish", definition=made.id, kind="form")
    assert "review version 2 is published" in other.read("/flows/review?kind=form")
    with database.begin() as tx:
        assert tx.session.get_one(Definition, made.id).published_by == seeded.users["analyst2"]


def test_a_refused_diagram_comes_back_drawn_with_its_findings(
    visitor: Come, database: Database, seeded: Seeded
) -> None:
    refused = upload(visitor("analyst"), DIAGRAMS / "refused.bpmn")
    assert refused.status_code == 422
    assert "payment.vallidate" in refused.text
    inline = re.search(r'<script type="application/json" class="findings">(.*?)</script>', refused.text, re.DOTALL)
    assert inline is not None
    found = orjson.loads(inline[1])
    assert "Validate" in {finding["element"] for finding in found}
    assert 'data-element="Validate"' in refused.text
    assert "&lt;bpmn:process id=&#34;card-payment&#34;" in refused.text
    with database.begin() as tx:
        assert len(tx.session.scalars(select(Definition)).all()) == len(seeded.definitions)


def test_findings_of_a_table_or_a_form_beside_a_diagram_are_told_with_file_and_line(
    visitor: Come, tmp_path: Path
) -> None:
    table, form = tmp_path / "limits.dmn", tmp_path / "broken.form.json"
    table.write_text("<definitions>\n<decision>")
    form.write_text('{"id": "broken", "fields": 1}')
    refused = upload(visitor("analyst"), DIAGRAMS / "refused.bpmn", table, form)
    assert refused.status_code == 422
    listed = refused.text.partition('id="elsewhere"')[2].partition("</ul>")[0]
    for told in ("limits.dmn:2", "broken.form.json", "Correct the named place"):
        assert told in listed, listed
    assert "Validate" not in listed
    assert "payment.vallidate" in refused.text


def test_findings_are_told_in_chinese_before_the_english_that_names_the_place(visitor: Come) -> None:
    analyst = visitor("analyst")
    assert "操作未知。" not in upload(analyst, DIAGRAMS / "refused.bpmn").text
    analyst.post("/preferences", language="zh", back="/flows")
    told = upload(analyst, DIAGRAMS / "refused.bpmn").text
    assert re.search(r'操作未知。 <span lang="en">[^<]*payment\.vallidate', told)


def test_a_diagram_cannot_break_out_of_the_page(visitor: Come, tmp_path: Path) -> None:
    hostile = tmp_path / "x.bpmn"
    hostile.write_bytes(
        (DIAGRAMS / "refused.bpmn").read_bytes().replace(b"Assess risk", b"&lt;/textarea&gt;&lt;script&gt;")
    )
    page = upload(visitor("analyst"), hostile).text
    assert "<script>" not in page
    assert "</textarea><" not in page.replace("</textarea>\n", "").split("csrf_token")[0] or "&lt;/textarea" in page


def test_drafts_that_need_each_other_are_published_together(visitor: Come, tmp_path: Path) -> None:
    author, other = visitor("analyst"), visitor("analyst2")
    for name in (b"risk-score", b"risk-points"):
        process, table = tmp_path / "judge.bpmn", tmp_path / "risk.dmn"
        process.write_bytes(JUDGE.replace(b"risk-score", name))
        table.write_bytes(TABLE.replace(b"risk-score", name))
        assert upload(author, process, table).status_code == 303
        page = other.read("/flows")
        drafts = re.findall(r'form="together" name="definitions" value="(def_\w+)"', page)[:2]
        assert len(set(drafts)) == 2
        assert 'form="together"' not in author.read("/flows")
        assert 'form="together"' not in visitor("reviewer").read("/flows")
        author.post("/flows/publish", definitions=drafts)
        assert "You deployed" in author.read("/flows")
        if name == b"risk-points":
            for alone in drafts:
                other.post("/flows/publish", definitions=[alone])
                assert "or both together" in unescape(other.read("/flows"))
        other.post("/flows/publish", definitions=drafts)
        assert "Published together" in other.read("/flows")


def test_a_flow_tells_what_it_uses_and_who_uses_it(visitor: Come, tmp_path: Path) -> None:
    process, table = tmp_path / "judge.bpmn", tmp_path / "risk.dmn"
    process.write_bytes(JUDGE)
    table.write_bytes(TABLE)
    upload(visitor("analyst"), process, table)
    other = visitor("analyst2")
    assert 'href="/flows/risk?kind=dmn">risk-score</a>' in other.read("/flows/judge")
    assert "Used by" not in other.read("/flows/risk?kind=dmn")
    drafts = re.findall(r'form="together" name="definitions" value="(def_\w+)"', other.read("/flows"))
    other.post("/flows/publish", definitions=drafts[:2])
    assert '<a class="chip" href="/flows/judge">' in other.read("/flows/risk?kind=dmn").partition("Used by")[2]
    assert '<a class="chip" href="/flows/card-payment">' in other.read("/flows/review?kind=form")


def test_only_analysts_upload_and_publish(visitor: Come, database: Database, seeded: Seeded) -> None:
    reviewer = visitor("reviewer")
    assert upload(reviewer, DIAGRAMS / "review.form.json").status_code == 403
    reviewer.post("/flows/card-payment/publish", definition=seeded.definitions["flow3"])
    with database.begin() as tx:
        assert tx.session.get_one(Definition, seeded.definitions["flow3"]).status == "draft"
    assert "Upload diagrams" not in reviewer.read("/flows")


def test_a_page_names_who_uses_which_version(visitor: Come) -> None:
    page = visitor("analyst").read("/flows/card-payment")
    assert "Marta Silva" in page
    assert "Jonas Berg" in page
    assert "Published" in page
    assert "Retired" in page


def test_a_download_is_byte_for_byte_what_was_deployed(visitor: Come, seeded: Seeded) -> None:
    response = visitor("analyst").get(f"/definitions/{seeded.definitions['flow2']}/source?download")
    assert response.data == (DIAGRAMS / "card-payment.bpmn").read_bytes()
    assert response.headers["Content-Disposition"] == "attachment; filename*=UTF-8''card-payment-2.bpmn"


def test_a_drawing_is_kept_for_ever_but_its_translation_only_until_the_next_catalogue(
    visitor: Come, seeded: Seeded
) -> None:
    address = f"/definitions/{seeded.definitions['flow2']}/source"
    original, translated = (visitor("analyst").get(address + query) for query in ("", "?language=zh"))
    assert "immutable" in original.headers["Cache-Control"]
    assert translated.headers["Cache-Control"] == "private, max-age=300"
    assert translated.data != original.data


def test_nothing_to_upload_is_said(visitor: Come) -> None:
    page = visitor("analyst").post("/flows/new")
    assert page.status_code == 422
    assert "There is no file to deploy" in page.text


def test_too_many_files_are_refused_and_none_is_left_out_in_silence(visitor: Come) -> None:
    page = upload(visitor("analyst"), *[DIAGRAMS / "review.form.json"] * 51)
    assert page.status_code == 422
    assert "at most 50" in page.text


def test_our_own_flows_pass_and_are_drawn(visitor: Come) -> None:
    analyst = visitor("admin")
    files = sorted(path for path in WORKFLOWS.rglob("*") if path.name.endswith(ENDINGS))
    stored = upload(analyst, *files)
    assert stored.status_code == 303, re.findall(r'class="findings">(.*?)</ul>', stored.text, re.DOTALL)
    assert "Manual review" in analyst.read("/flows")
