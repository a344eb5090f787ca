"""What an instance is pinned to after a move: the new version and what it uses itself, the rest as it was."""

import pytest
from sqlalchemy import func, select

from app.engine import definitions
from app.engine.definitions import published
from app.engine.forms import Form, read_form
from app.engine.lint import Upload
from app.engine.models import Definition
from app.engine.pins import Standing, load_bundle, moved_pins, pins_for
from app.errors import Conflict
from app.kit.database import Database, Tx
from tests.engine.lint.draw import FORM, bpmn, call, end, path, script, start, user
from tests.engine.test_definitions import SYSTEM, M, child, deploy, store

assert store


def flow_of(*names: str) -> Upload:
    """A process `p` of user tasks and, where they are named `child`, calls of that process."""
    parts = [call(name, "child") if name == "child" else user(name) for name in names]
    return Upload("p.bpmn", bpmn(start(), *parts, end(), path("start", *names, "end"), process="p"))


def deployed(tx: Tx, *files: Upload) -> Definition:
    return deploy(tx, SYSTEM, *files, publish=True)[0]


def form(label: str) -> Upload:
    return Upload("review.form.json", FORM.replace(b'"Approve"', f'"{label}"'.encode()))


def test_the_new_version_brings_the_forms_it_uses_and_the_processes_it_calls(store: Database) -> None:
    with store.begin() as tx:
        deployed(tx, flow_of("u"), form("Approve"))
        before = pins_for(tx, M, "p").pins
        newer = deployed(tx, form("Yes"))
        inner = deployed(tx, child())
        target = deployed(tx, flow_of("u", "child"))
        after = moved_pins(Standing.of(published(tx, M)), before, target)
        assert after["processes"] == {"p": target.id, "child": inner.id}
        assert after["forms"] == {"review": newer.id} != before["forms"]
        assert set(load_bundle(tx, after).diagrams) == {"p", "child"}


def test_a_called_process_stays_on_the_version_it_has_begun_with(store: Database) -> None:
    with store.begin() as tx:
        deployed(tx, child())
        deployed(tx, flow_of("child", "u"), form("Approve"))
        before = pins_for(tx, M, "p").pins
        deployed(tx, child("=2"))
        target = deployed(tx, flow_of("child", "u", "v"))
        after = moved_pins(Standing.of(published(tx, M)), before, target)
        assert after["processes"]["child"] == before["processes"]["child"]


def test_a_version_whose_called_process_is_retired_cannot_be_moved_to(store: Database) -> None:
    with store.begin() as tx:
        inner = deployed(tx, child())
        old = deployed(tx, flow_of("child", "u"), form("Approve"))
        deployed(tx, flow_of("u"))
        pins = pins_for(tx, M, "p").pins
        definitions.retire(tx, SYSTEM, inner.id)
        with pytest.raises(Conflict, match="child"):
            moved_pins(Standing.of(published(tx, M)), pins, old)
        assert tx.session.scalar(select(func.count()).select_from(Definition)) == 4


def parsed(*fields: str, decisions: str = "approve", reasons: str = "") -> Form:
    drawn = ",".join(fields)
    offered = ",".join(f'{{"value": "{name}", "label": "L"}}' for name in decisions.split())
    given = ",".join(f'{{"value": "{name}", "label": "L"}}' for name in reasons.split())
    text = f'{{"id": "f", "title": "F", "fields": [{drawn}], "decisions": [{offered}], "reasons": [{given}]}}'
    found, problems = read_form(text.encode())
    assert found is not None, problems
    return found


TEXT = '{"name": "why", "label": "Why"}'
NUMBER = '{"name": "why", "label": "Why", "type": "number"}'
TWO, ONE = (
    f'{{"name": "way", "label": "Way", "type": "select", "options": [{options}]}}' for options in ('"a", "b"', '"a"')
)


@pytest.mark.parametrize(
    ("before", "after", "lost"),
    [
        (parsed(TEXT), parsed(TEXT, TWO), []),
        (parsed(TEXT), parsed(), ["the field why"]),
        (parsed(TEXT), parsed(NUMBER), ["the field why"]),
        (parsed(ONE), parsed(TWO), []),
        (parsed(TWO), parsed(ONE), ["the field way"]),
        (parsed(decisions="approve reject"), parsed(), ["the decision reject"]),
        (parsed(reasons="known other"), parsed(reasons="other"), ["the reason known"]),
    ],
)
def test_a_form_loses_what_the_next_one_does_not_take(before: Form, after: Form, lost: list[str]) -> None:
    assert before.lost_to(after) == lost


def test_a_script_alone_needs_no_pins(store: Database) -> None:
    with store.begin() as tx:
        target = deployed(
            tx, Upload("q.bpmn", bpmn(start(), script("a"), end(), path("start", "a", "end"), process="q"))
        )
        assert moved_pins(Standing.of([]), {"processes": {}, "decisions": {}, "forms": {}}, target) == {
            "processes": {"q": target.id},
            "decisions": {},
            "forms": {},
        }
