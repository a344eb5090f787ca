"""Real payments that wait are moved to another version of their flow: everything a person or a clock holds survives."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from app.access.actor import Actor, Role, system
from app.engine import definitions, inbox, migrate, people, queries
from app.engine.lint import Upload
from app.engine.migrate import AlreadyUndone
from app.engine.migration_views import migration_view, plan_view
from app.engine.models import Definition, Instance, Migration, Task, WaitRow
from app.engine.people import Completion
from app.engine.planning import Command, plan
from app.errors import Conflict, Forbidden, InvalidInput, NotFound
from app.events import audit
from app.kit.database import Json, Tx
from app.settings import ROOT
from tests.engine.lint import draw as lint
from tests.house import MERCHANT, House

REVIEW = ROOT / "workflows" / "manual-review" / "manual-review.bpmn"
FORM = ROOT / "workflows" / "manual-review" / "review.form.json"
CUSTOMER = ROOT / "workflows" / "card-payment" / "authenticate-customer.bpmn"
APPROVE = Completion("approve", "customer_confirmed")

RENAMED = [
    (f'{name}="review"', f'{name}="check"') for name in ("id", "attachedToRef", "sourceRef", "targetRef", "bpmnElement")
]
LONGER = [(">PT4H<", ">PT6H<")]
NOTE = (
    '<bpmn:scriptTask id="note"><bpmn:extensionElements><zeebe:script expression="=true" resultVariable="noted"/>'
    "</bpmn:extensionElements><bpmn:incoming>settled_to_note</bpmn:incoming>"
    '<bpmn:outgoing>settled_to_settled_end</bpmn:outgoing></bpmn:scriptTask><bpmn:endEvent id="settled_end">'
)
FLOWS = (
    '<bpmn:sequenceFlow id="settled_to_note" sourceRef="settled" targetRef="note"/>'
    '<bpmn:sequenceFlow id="settled_to_settled_end" sourceRef="note" targetRef="settled_end"/>'
)
DRAWN = (
    '<bpmndi:BPMNShape id="note_di" bpmnElement="note"><dc:Bounds x="0" y="0" width="99" height="80"/>'
    '</bpmndi:BPMNShape><bpmndi:BPMNEdge id="to_note_di" bpmnElement="settled_to_note"><di:waypoint x="0" y="0"/>'
    '<di:waypoint x="9" y="9"/></bpmndi:BPMNEdge></bpmndi:BPMNPlane>'
)
INSERTED = [
    ("<bpmn:outgoing>settled_to_settled_end</bpmn:outgoing>", "<bpmn:outgoing>settled_to_note</bpmn:outgoing>"),
    ('<bpmn:endEvent id="settled_end">', NOTE),
    ('<bpmn:sequenceFlow id="settled_to_settled_end" sourceRef="settled" targetRef="settled_end"/>', FLOWS),
    ("</bpmndi:BPMNPlane>", DRAWN),
]
COPY = [('name="Manual review"', 'name="Manual review, again"')]


def publish(house: House, path: Path, changes: Sequence[tuple[str, str]]) -> Definition:
    content = path.read_text()
    for before, after in changes:
        assert before in content
        content = content.replace(before, after)
    with house.database.begin() as tx:
        (made,) = definitions.deploy(tx, house.system, [Upload(path.name, content.encode())], publish=True)
    return made


def first_version(tx: Tx, key: str) -> str:
    query = select(Definition.id).where(Definition.kind == "bpmn", Definition.key == key, Definition.version == 1)
    return tx.session.scalars(query).one()


def command(house: House, target: Definition, *instances: str, **mapping: str) -> Command:
    with house.database.begin() as tx:
        return Command(first_version(tx, target.key), target.id, mapping, instances)


def start(house: House, target: Definition, **mapping: str) -> str:
    """Write the command down without carrying it out."""
    asked = command(house, target, **mapping)
    actor = house.person("olga", Role.OPERATOR)
    with house.database.begin() as tx:
        return migrate.start(tx, actor, asked).id


def moved(house: House, target: Definition, **mapping: str) -> Json:
    migration_id = start(house, target, **mapping)
    house.run()
    return view(house, migration_id)


def undone(house: House, migration_id: str) -> Json:
    with house.database.begin() as tx:
        migrate.undo(tx, house.person("olga", Role.OPERATOR), migration_id)
    house.run()
    return view(house, migration_id)


def view(house: House, migration_id: str) -> Json:
    with house.database.begin() as tx:
        return migration_view(tx, tx.session.get_one(Migration, migration_id))


def dry(house: House, target: Definition, **mapping: str) -> Json:
    asked = command(house, target, **mapping)
    with house.database.begin() as tx:
        return plan_view(plan(tx, house.person("olga", Role.OPERATOR), asked))


def reasons(seen: Json) -> list[list[str]]:
    return [[reason["code"] for reason in move["reasons"]] for move in seen["moves"]]


def flagged(house: House, amount: int = 1000) -> str:
    payment_id = house.pay("pm_card_high_risk", amount)
    house.run()
    return payment_id


def claim(house: House, payment_id: str) -> Task:
    with house.database.begin() as tx:
        return people.claim(tx, house.person("rosa", Role.REVIEWER), house.task(payment_id).id)


def decide(house: House, payment_id: str, completion: Completion = APPROVE) -> None:
    with house.database.begin() as tx:
        people.complete(tx, house.person("rosa", Role.REVIEWER), house.task(payment_id).id, completion)


def waits(house: House, payment_id: str) -> dict[str, WaitRow]:
    with house.database.begin() as tx:
        query = select(WaitRow).where(WaitRow.instance_id == house.instance(payment_id).id)
        return {row.element: row for row in tx.session.scalars(query)}


def test_a_review_moves_across_an_inserted_task_a_renamed_task_and_a_changed_timer(house: House) -> None:
    payment_id = flagged(house)
    claimed, before = claim(house, payment_id), waits(house, payment_id)
    house.later(minutes=10)
    target = publish(house, REVIEW, [*RENAMED, *LONGER, *INSERTED])

    planned = dry(house, target, review="check")
    assert (planned["counts"], planned["before"]["review"], planned["after"]["check"]) == ({"allowed": 1}, 1, 1)
    due = {wait["element"]: wait["due_at"] for wait in planned["moves"][0]["waits"]}
    assert due["takes_long"] == before["takes_long"].created_at + timedelta(hours=6)
    assert waits(house, payment_id).keys() == before.keys(), "a dry run changes nothing"

    done = moved(house, target, review="check")
    assert (done["status"], done["counts"]) == ("done", {"moved": 1})
    after, task = waits(house, payment_id), house.task(payment_id)
    assert after["takes_long"].due_at == due["takes_long"]
    assert after["authorization_ends"].due_at == before["authorization_ends"].due_at
    assert (task.id, task.element, task.status, task.assignee) == (claimed.id, "check", "claimed", claimed.assignee)
    assert (task.claim_until, task.facts, task.due_at) == (claimed.claim_until, claimed.facts, claimed.due_at)

    with house.database.begin() as tx:
        journal = queries.journal(tx, house.instance(payment_id).id)
        (entry,) = [row for row in journal if row.kind == "migrated"]
        assert (entry.facts["from"], entry.facts["to"], entry.actor) == (1, 2, house.people["olga"].id)
        here = [step["element"] for step in queries.path(journal) if step["left_at"] is None and step["kind"] != "flow"]
        assert here == ["review", "people", "check"], "the call of the review, its sub-process, and the renamed task"
        assert audit.verify(tx, MERCHANT) is None

    decide(house, payment_id)
    house.run()
    assert house.payment(payment_id).status == "succeeded"
    with house.database.begin() as tx:
        assert "note" in {row.element for row in queries.journal(tx, house.instance(payment_id).id)}
    house.check_books()


def test_a_customer_at_the_bank_is_waited_for_in_the_new_version(house: House) -> None:
    payment_id = house.pay("pm_card_3ds")
    house.run()
    target = publish(house, CUSTOMER, [('target="came_back"', 'target="is_back"')])
    assert moved(house, target)["counts"] == {"moved": 1}

    house.a.authenticate(house.charges()[0]["id"])
    assert house.until(payment_id, "succeeded").next_action is None
    house.check_books()


def test_a_customer_who_never_comes_back_expires_when_the_first_version_would_have(house: House) -> None:
    payment_id = house.pay("pm_card_3ds")
    house.run()
    house.later(minutes=10)
    moved(house, publish(house, CUSTOMER, [('name="Customer is back"', 'name="Back"')]))
    house.later(minutes=4)
    assert house.payment(payment_id).status == "requires_action"
    house.later(minutes=1)
    assert house.until(payment_id, "expired").status_reason == "authentication_abandoned"


def test_an_instance_with_a_process_of_its_own_says_the_version_it_moved_to(house: House) -> None:
    payment_id = house.pay("pm_card_visa", capture_method="manual")
    house.run()
    path = ROOT / "workflows" / "card-payment" / "card-payment.bpmn"
    target = publish(house, path, [('name="Capture requested"', 'name="Capture"')])
    moved(house, target)
    instance = house.instance(payment_id)
    assert (instance.definition_id, instance.version) == (target.id, 2)
    assert instance.pins["processes"]["card-payment"] == target.id


def test_an_undo_gives_back_everything_but_the_history(house: House) -> None:
    payment_id = flagged(house)
    claimed, before, was = claim(house, payment_id), waits(house, payment_id), house.instance(payment_id)
    done = moved(house, publish(house, REVIEW, [*RENAMED, *LONGER]), review="check")

    back = undone(house, done["id"])
    assert (back["status"], back["counts"]) == ("undone", {"undone": 1})
    instance, task = house.instance(payment_id), house.task(payment_id)
    assert (instance.state, instance.pins, instance.due_at) == (was.state, was.pins, was.due_at)
    assert (task.element, task.node, task.assignee) == ("review", claimed.node, claimed.assignee)
    after = waits(house, payment_id)
    assert {e: (w.node, w.due_at, w.created_at) for e, w in after.items() if w.due_at} == {
        e: (w.node, w.due_at, w.created_at) for e, w in before.items() if w.due_at
    }
    with house.database.begin() as tx:
        kinds = [row.facts.get("undone", False) for row in queries.journal(tx, instance.id) if row.kind == "migrated"]
        assert kinds == [False, True]
        journal = queries.journal(tx, instance.id)
        here = [step["element"] for step in queries.path(journal) if step["left_at"] is None and step["kind"] != "flow"]
        assert here == ["review", "people", "review"]
    decide(house, payment_id)
    house.run()
    assert house.payment(payment_id).status == "succeeded"
    house.check_books()


def test_an_instance_that_went_on_is_kept_by_an_undo_with_the_reason(house: House) -> None:
    payment_id = flagged(house)
    done = moved(house, publish(house, REVIEW, COPY))
    decide(house, payment_id)
    house.run()
    back = undone(house, done["id"])
    assert (back["counts"], reasons(back)) == ({"kept": 1}, [["ended"]])
    assert house.payment(payment_id).status == "succeeded"
    with pytest.raises(AlreadyUndone):
        undone(house, done["id"])


def test_an_undo_waits_for_nobody_who_was_not_moved_yet(house: House) -> None:
    flagged(house)
    migration_id = start(house, publish(house, REVIEW, COPY))
    assert reasons(undone(house, migration_id)) == [["withdrawn"]]


def test_an_unsafe_move_is_refused_with_what_stands_in_its_way(house: House) -> None:
    payment_id = flagged(house)
    target = publish(house, REVIEW, RENAMED)
    seen = dry(house, target)
    (reason,) = seen["moves"][0]["reasons"]
    assert (reason["code"], reason["element"]) == ("no_counterpart", "review")
    assert "map it" in reason["message"]
    with pytest.raises(InvalidInput) as refused:
        start(house, target)
    assert refused.value.extra["plan"]["counts"] == {"refused": 1}
    assert house.task(payment_id).element == "review"


def test_the_form_of_a_claimed_task_must_go_on_taking_what_is_on_the_screen(house: House) -> None:
    payment_id = flagged(house)
    task = claim(house, payment_id)
    publish(house, FORM, [('"value": "customer_confirmed"', '"value": "customer_called"')])
    target = publish(house, REVIEW, COPY)
    seen = dry(house, target)
    assert reasons(seen) == [["form_differs"]]
    assert "the reason customer_confirmed" in seen["moves"][0]["reasons"][0]["message"]

    with house.database.begin() as tx:
        people.release(tx, house.person("rosa", Role.REVIEWER), task.id)
    moved(house, target)
    decide(house, payment_id, Completion("approve", "customer_called"))
    house.run()
    assert house.payment(payment_id).status == "succeeded"


def test_only_those_that_are_asked_for_are_moved(house: House) -> None:
    first, second = flagged(house), flagged(house)
    target = publish(house, REVIEW, COPY)
    asked = command(house, target, house.instance(second).id)
    with house.database.begin() as tx:
        migration_id = migrate.start(tx, house.person("olga", Role.OPERATOR), asked).id
    house.run()
    assert [move["subject"] for move in view(house, migration_id)["moves"]] == [second]
    assert house.instance(first).pins["processes"]["manual-review"] == asked.source

    with house.database.begin() as tx:
        elsewhere = Command(asked.source, asked.target, waiting_at=("capture_requested",))
        assert plan(tx, house.people["olga"], elsewhere).verdicts == ()
        here = Command(asked.source, asked.target, waiting_at=("review",))
        assert [one.subject for one in plan(tx, house.people["olga"], here).verdicts] == [first]


def test_what_cannot_be_meant_is_refused_as_a_whole(house: House) -> None:
    flagged(house)
    review, customer = publish(house, REVIEW, COPY), publish(house, CUSTOMER, [('name="Customer is back"', 'name="B"')])
    olga = house.person("olga", Role.OPERATOR)
    with house.database.begin() as tx:
        source = first_version(tx, "manual-review")
        for target, mapping, error in (
            (customer.id, {}, Conflict),
            (source, {}, Conflict),
            ("def_none", {}, NotFound),
            (review.id, {"review": "nowhere"}, InvalidInput),
        ):
            with pytest.raises(error):
                plan(tx, olga, Command(source, target, mapping))
        with pytest.raises(InvalidInput):
            plan(tx, olga, Command(source, review.id, instances=("ins_none",)))
        with pytest.raises(Forbidden):
            plan(tx, house.person("rosa", Role.REVIEWER), Command(source, review.id))
        with pytest.raises(NotFound):
            plan(tx, Actor("usr_x", "X", "mer_other", frozenset(Role)), Command(source, review.id))


def test_a_draft_is_not_moved_to(house: House) -> None:
    flagged(house)
    with house.database.begin() as tx:
        upload = Upload(REVIEW.name, REVIEW.read_bytes().replace(b">PT4H<", b">PT5H<"))
        (draft,) = definitions.deploy(tx, house.system, [upload])
    with pytest.raises(Conflict, match="draft"):
        dry(house, draft)
    assert system(MERCHANT).id == draft.created_by


def test_an_instance_that_cannot_be_read_holds_up_no_other(house: House) -> None:
    broken, whole = flagged(house), flagged(house)
    with house.database.begin() as tx:
        tx.execute(update(Instance).where(Instance.subject == broken).values(state=b"[]"))
    done = moved(house, publish(house, REVIEW, COPY))
    assert {move["subject"]: move["status"] for move in done["moves"]} == {broken: "skipped", whole: "moved"}
    assert ["unreadable_state"] in reasons(done)


def test_what_is_about_no_payment_is_not_moved_to_where_it_would_need_one(house: House) -> None:
    def version(*work: str) -> Definition:
        parts = (lint.start(), lint.user("u"), *work, lint.end())
        drawn = lint.bpmn(*parts, lint.path("start", "u", *(["work"] if work else []), "end"), process="chores")
        with house.database.begin() as tx:
            files = [Upload("chores.bpmn", drawn), Upload("review.form.json", lint.FORM)]
            return definitions.deploy(tx, house.system, files, publish=True)[0]

    version()
    with house.database.begin() as tx:
        inbox.start_instance(tx, house.system, "chores")
    house.run()
    seen = dry(house, version(lint.service("work", "risk.facts")))
    assert reasons(seen) == [["needs_subject"]]
    assert "risk.facts" in seen["moves"][0]["reasons"][0]["message"]


def test_an_instance_moves_on_from_version_to_version_and_back_to_an_older_one(house: House) -> None:
    payment_id = flagged(house)
    house.later(minutes=5)
    began = waits(house, payment_id)["takes_long"].created_at
    second = publish(house, REVIEW, RENAMED)
    moved(house, second, review="check")
    house.later(minutes=5)
    third = publish(house, REVIEW, LONGER)
    with house.database.begin() as tx:
        oldest = first_version(tx, "manual-review")
        olga = house.person("olga", Role.OPERATOR)
        migrate.start(tx, olga, Command(second.id, third.id, {"check": "review"}))
    house.run()
    assert waits(house, payment_id)["takes_long"].due_at == began + timedelta(hours=6)
    with house.database.begin() as tx:
        migrate.start(tx, olga, Command(third.id, oldest))
    house.run()
    assert waits(house, payment_id)["takes_long"].due_at == began + timedelta(hours=4)
    assert house.task(payment_id).node.endswith("/review#2"), "a number that was used is not given again"
    decide(house, payment_id)
    house.run()
    assert house.payment(payment_id).status == "succeeded"
    house.check_books()
