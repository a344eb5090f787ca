"""The definitions store on a real database: all or none, immutable versions, four eyes, pins and bundles."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.access.actor import Actor, Role, system
from app.access.api_keys import authenticate, create_key
from app.access.models import Merchant
from app.engine import definitions, pins, shipped, versions
from app.engine.definitions import DefinitionRefused
from app.engine.lint import Upload, lint
from app.engine.models import Definition, Instance
from app.errors import Conflict, Forbidden, FourEyes, InvalidInput, NotFound
from app.events import audit
from app.events.models import AuditEntry
from app.kit.database import Database, Tx
from tests.engine.lint.draw import (
    FORM,
    TABLE,
    boundary,
    bpmn,
    call,
    end,
    flow,
    operations,
    path,
    rule,
    script,
    service,
    start,
    user,
)

M = "mer_one"
ANN = Actor("usr_ann", "Ann", M, frozenset({Role.ANALYST}))
BEN = Actor("usr_ben", "Ben", M, frozenset({Role.ANALYST}))
REVIEWER = Actor("usr_rob", "Rob", M, frozenset({Role.REVIEWER}))
SYSTEM = system(M)


@pytest.fixture
def store(database: Database) -> Database:
    with database.begin() as tx:
        for merchant in (M, "mer_two"):
            tx.session.add(Merchant(id=merchant, name=merchant, settings={}, created_at=tx.now()))
    return database


def child(text: str = "=1") -> Upload:
    return Upload("child.bpmn", bpmn(start(), script("a", text), end(), path("start", "a", "end"), process="child"))


def parent(*parts: str) -> Upload:
    names = ["start", "c", "r", "u", "end"]
    drawn = bpmn(
        start(), call("c", "child"), rule("r", "risk-score"), user("u"), end(), path(*names), *parts, process="parent"
    )
    return Upload("parent.bpmn", drawn)


TABLE_FILE, FORM_FILE = Upload("risk.dmn", TABLE), Upload("review.form.json", FORM)


def deploy(tx: Tx, actor: Actor, *files: Upload, publish: bool = False) -> list[Definition]:
    return definitions.deploy(tx, actor, files, publish=publish, operations=operations)


def publish(tx: Tx, actor: Actor, *deployed: Definition) -> list[Definition]:
    return definitions.publish_together(tx, actor, [one.id for one in deployed], operations=operations)


def stored(tx: Tx) -> int:
    return tx.session.scalar(select(func.count()).select_from(Definition)) or 0


def test_files_that_need_each_other_are_deployed_as_one(store: Database) -> None:
    with store.begin() as tx:
        deployed = deploy(tx, ANN, parent(), child(), TABLE_FILE, FORM_FILE)
        assert [(one.kind, one.key, one.version, one.status) for one in deployed] == [
            ("bpmn", "parent", 1, "draft"),
            ("bpmn", "child", 1, "draft"),
            ("dmn", "risk", 1, "draft"),
            ("form", "review", 1, "draft"),
        ]
        assert deployed[0].uses == {
            "processes": ["child"],
            "decisions": ["risk-score"],
            "forms": ["review"],
            "operations": [],
            "lingering": ["u"],
        }
        assert deployed[2].uses == {"defines": ["risk-score"]}


def test_one_refused_file_stores_nothing_and_names_element_and_remedy(store: Database) -> None:
    with store.begin() as tx, pytest.raises(DefinitionRefused) as refused:
        deploy(tx, ANN, child(), Upload("bad.bpmn", b"<!DOCTYPE x><x/>"))
    findings = refused.value.extra["findings"]
    assert [(one["code"], one["severity"], one["file"]) for one in findings] == [
        ("unreadable_file", "error", "bad.bpmn")
    ]
    assert findings[0]["remedy"]
    assert refused.value.status == 422
    with store.begin() as tx:
        assert stored(tx) == 0


def test_the_same_content_is_the_same_version(store: Database) -> None:
    with store.begin() as tx:
        first = deploy(tx, ANN, child())[0]
        again = deploy(tx, BEN, child())[0]
        other = deploy(tx, BEN, child("=2"))[0]
        assert again.id == first.id
        assert again.created_by == "usr_ann"
        assert (first.version, other.version) == (1, 2)
        assert stored(tx) == 2


def test_files_deployed_at_the_same_moment_are_numbered_one_after_the_other(store: Database) -> None:
    def deploy_one(text: str) -> int:
        with store.begin() as tx:
            return deploy(tx, ANN, child(text))[0].version

    with ThreadPoolExecutor(6) as pool:
        numbers = list(pool.map(deploy_one, ["=1", "=2", "=3", "=1", "=2", "=3"]))
    assert numbers[:3] == numbers[3:]
    assert sorted(numbers[:3]) == [1, 2, 3]


def test_versions_of_two_merchants_are_strangers(store: Database) -> None:
    with store.begin() as tx:
        mine = deploy(tx, ANN, child())[0]
        theirs = deploy(tx, Actor("usr_x", "X", "mer_two", frozenset({Role.ANALYST})), child())[0]
        assert (theirs.version, theirs.id != mine.id) == (1, True)
        with pytest.raises(NotFound):
            definitions.definition(tx, "mer_two", mine.id)


def test_warnings_are_stored_with_the_version(store: Database) -> None:
    with store.begin() as tx:
        silent = bpmn(start(), script("a"), end(), path("start", "a", "end"), attributes='isExecutable="true"')
        one = deploy(tx, ANN, Upload("flow.bpmn", silent))[0]
        assert [finding["code"] for finding in one.warnings["findings"]] == ["missing_name"]
        assert versions.definition_view(one)["warnings"] == one.warnings["findings"]


def test_nobody_publishes_what_they_deployed(store: Database) -> None:
    with store.begin() as tx:
        one = deploy(tx, ANN, child())[0]
        with pytest.raises(FourEyes, match="ask another analyst"):
            publish(tx, ANN, one)
        with pytest.raises(Forbidden):
            publish(tx, REVIEWER, one)
        assert one.status == "draft"
        publish(tx, BEN, one)
        assert (one.status, one.published_by) == ("published", "usr_ben")


def test_a_key_deploys_but_does_not_publish(store: Database) -> None:
    key = Actor("key_ci", "CI", M, frozenset({Role.ANALYST}))
    with store.begin() as tx:
        one = deploy(tx, ANN, child())[0]
        with pytest.raises(Forbidden, match="publishing is for a person"):
            publish(tx, key, one)
        publish(tx, ANN, deploy(tx, key, child("=2"))[0])


def test_who_made_the_key_that_deployed_does_not_publish(store: Database) -> None:
    boss = Actor("usr_ann", "Ann", M, frozenset({Role.ADMIN, Role.ANALYST}))
    with store.begin() as tx:
        made = create_key(tx, boss, "CI", [Role.ANALYST])
        one = deploy(tx, authenticate(tx, made.secret), child())[0]
        with pytest.raises(FourEyes, match="made the key"):
            publish(tx, boss, one)
        publish(tx, BEN, one)


def test_shipped_flows_do_not_replace_what_people_published(store: Database, tmp_path: Path) -> None:
    def ship(text: str) -> Definition:
        (tmp_path / "child.bpmn").write_bytes(child(text).content)
        with store.begin() as tx:
            return shipped.deploy(tx, M, tmp_path)[0]

    first, second = ship("=1"), ship("=2")
    with store.begin() as tx:
        publish(tx, ANN, first)
    ship("=2")
    with store.begin() as tx:
        now = {one: definitions.definition(tx, M, one).status for one in (first.id, second.id)}
    assert now == {first.id: "published", second.id: "retired"}


def test_shipped_flows_are_not_published_again_once_people_have_retired_them(store: Database, tmp_path: Path) -> None:
    def ship(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        with store.begin() as tx:
            found = {one.file_name: one.id for one in shipped.deploy(tx, M, tmp_path)}
            return definitions.definition(tx, M, found[name]).status

    assert ship("child.bpmn", child("=1").content) == "published"
    with store.begin() as tx:
        first = tx.session.scalars(select(Definition).where(Definition.key == "child")).one()
        definitions.retire(tx, ANN, first.id)
    assert ship("child.bpmn", child("=1").content) == "retired"
    assert ship("child.bpmn", child("=2").content) == "draft"
    assert ship("parent.bpmn", bpmn(start(), call("c", "child"), end(), path("start", "c", "end"))) == "draft"


def test_deploying_and_publishing_at_once_is_for_the_system_only(store: Database) -> None:
    with store.begin() as tx:
        assert deploy(tx, SYSTEM, child(), publish=True)[0].status == "published"
    with pytest.raises(FourEyes), store.begin() as tx:
        deploy(tx, ANN, child("=2"), publish=True)
    with store.begin() as tx:
        assert stored(tx) == 1


def test_a_reviewer_deploys_nothing(store: Database) -> None:
    with store.begin() as tx:
        with pytest.raises(Forbidden):
            deploy(tx, REVIEWER, child())
        with pytest.raises(InvalidInput, match="no file"):
            deploy(tx, ANN)


def test_publishing_retires_the_version_before_and_an_older_one_can_come_back(store: Database) -> None:
    with store.begin() as tx:
        first = deploy(tx, SYSTEM, child(), publish=True)[0]
        second = deploy(tx, SYSTEM, child("=2"), publish=True)[0]
        assert (first.status, second.status) == ("retired", "published")
        publish(tx, BEN, first)
        assert (first.status, second.status) == ("published", "retired")


def test_publishing_what_uses_a_draft_is_a_conflict_that_names_it(store: Database) -> None:
    with store.begin() as tx:
        deployed = deploy(tx, ANN, parent(), child(), TABLE_FILE, FORM_FILE)
        with pytest.raises(Conflict, match="parent uses the process 'child', which is not published") as conflict:
            publish(tx, BEN, deployed[0])
        assert [one["name"] for one in conflict.value.extra["missing"]] == ["child", "risk-score", "review"]
        publish(tx, BEN, *deployed)
        assert {one.status for one in deployed} == {"published"}


def test_two_drafts_that_close_a_circle_are_not_both_published(store: Database) -> None:
    def calls(process: str, called: str) -> Upload:
        drawn = bpmn(start(), call("c", called), end(), path("start", "c", "end"), process=process)
        return Upload(f"{process}.bpmn", drawn)

    def plain(process: str) -> Upload:
        return Upload(f"{process}.bpmn", bpmn(start(), end(), path("start", "end"), process=process))

    with store.begin() as tx:
        deploy(tx, SYSTEM, plain("one"), plain("two"), publish=True)
        first, second = deploy(tx, ANN, calls("one", "two"))[0], deploy(tx, ANN, calls("two", "one"))[0]
        publish(tx, BEN, first)
        with pytest.raises(DefinitionRefused, match="call itself without end"):
            publish(tx, BEN, second)
        assert second.status == "draft"


def test_what_is_in_use_is_not_retired(store: Database) -> None:
    with store.begin() as tx:
        top, inner, table, form = deploy(tx, SYSTEM, parent(), child(), TABLE_FILE, FORM_FILE, publish=True)
        for used in (inner, table, form):
            with pytest.raises(Conflict, match="is used by parent"):
                definitions.retire(tx, BEN, used.id)
        assert definitions.retire(tx, BEN, top.id).status == "retired"
        assert definitions.retire(tx, BEN, inner.id).status == "retired"
        with pytest.raises(Conflict, match="not published"):
            definitions.retire(tx, BEN, inner.id)


def test_a_table_cannot_take_away_a_decision_that_is_asked(store: Database) -> None:
    with store.begin() as tx:
        deploy(tx, SYSTEM, parent(), child(), TABLE_FILE, FORM_FILE, publish=True)
        renamed = Upload("risk.dmn", TABLE.replace(b'decision id="risk-score"', b'decision id="risk-points"'))
        with pytest.raises(Conflict, match="parent uses the decision 'risk-score'"):
            deploy(tx, SYSTEM, renamed, publish=True)


def test_pins_fix_the_published_version_of_everything_reached(store: Database) -> None:
    with store.begin() as tx:
        top, inner, table, form = deploy(tx, SYSTEM, parent(), child(), TABLE_FILE, FORM_FILE, publish=True)
        pinned = pins.pins_for(tx, M, "parent")
        assert pinned.definition_id == top.id
        assert pinned.pins == {
            "process": "parent",
            "processes": {"parent": top.id, "child": inner.id},
            "decisions": {"risk-score": table.id},
            "forms": {"review": form.id},
        }
        deploy(tx, SYSTEM, child("=2"), publish=True)
        bundle = pins.load_bundle(tx, pinned.pins)
        assert (bundle.process, sorted(bundle.diagrams), sorted(bundle.decisions)) == (
            "parent",
            ["child", "parent"],
            ["risk-score"],
        )
        assert bundle.diagrams["child"].content_hash == inner.content_hash
        assert pins.load_bundle(tx, pinned.pins) is bundle
        assert pins.load_bundle(tx, pins.pins_for(tx, M, "parent").pins) is not bundle
        assert pins.load_form(tx, form.id).title == "Review"


def test_an_instance_of_a_draft_cannot_be_pinned(store: Database) -> None:
    with store.begin() as tx:
        deploy(tx, ANN, child())
        with pytest.raises(NotFound, match="'child' is published"):
            pins.pins_for(tx, M, "child")


def test_a_version_is_in_use_by_every_running_instance_that_is_pinned_to_it(store: Database) -> None:
    with store.begin() as tx:
        top, inner, table, form = deploy(tx, SYSTEM, parent(), child(), TABLE_FILE, FORM_FILE, publish=True)
        for number, status in enumerate(["waiting", "running", "completed"]):
            _instance(tx, f"ins_{number}", top, status, pins.pins_for(tx, M, "parent").pins)
        newer = deploy(tx, SYSTEM, child("=2"), publish=True)[0]
        _instance(tx, "ins_3", top, "incident", pins.pins_for(tx, M, "parent").pins)
        used = versions.in_use(tx, M)
        assert used == {top.id: 3, newer.id: 1, inner.id: 2, table.id: 3, form.id: 3}
        assert versions.in_use(tx, "mer_two") == {}


def test_lists_show_drafts_and_versions_newest_first(store: Database) -> None:
    with store.begin() as tx:
        first = deploy(tx, SYSTEM, child(), publish=True)[0]
        second = deploy(tx, ANN, child("=2"))[0]
        form = deploy(tx, ANN, FORM_FILE)[0]
        assert [one.id for one in versions.definitions(tx, M, key="child").rows] == [second.id, first.id]
        assert {one.id for one in versions.definitions(tx, M, status="draft").rows} == {second.id, form.id}
        assert [one.id for one in versions.definitions(tx, M, kind="form").rows] == [form.id]
        assert [one.id for one in versions.definitions(tx, M, key="child", status="published").rows] == [first.id]
        shown = versions.definition_view(first, content=True)
        assert (shown["object"], shown["version"], shown["published_by"]) == ("definition", 1, "system")
        assert "<bpmn:process" in shown["content"]


def test_every_change_is_in_the_audit_log(store: Database) -> None:
    with store.begin() as tx:
        first = deploy(tx, ANN, child())[0]
        deploy(tx, ANN, child())
        publish(tx, BEN, first)
        second = deploy(tx, BEN, child("=2"))[0]
        publish(tx, ANN, second)
        definitions.retire(tx, ANN, second.id)
        rows = tx.session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        assert [(row.actor, row.action, row.object_id) for row in rows] == [
            ("usr_ann", "definition.deployed", first.id),
            ("usr_ben", "definition.published", first.id),
            ("usr_ben", "definition.deployed", second.id),
            ("usr_ann", "definition.published", second.id),
            ("usr_ann", "definition.retired", second.id),
        ]
        assert audit.verify(tx, M) is None


def _instance(tx: Tx, identity: str, one: Definition, status: str, pinned: dict[str, object]) -> None:
    tx.session.add(
        Instance(
            id=identity,
            merchant_id=M,
            definition_id=one.id,
            process=one.key,
            version=one.version,
            subject=identity,
            status=status,
            pins=pinned,
            variables={},
            created_by="system",
            created_at=tx.now(),
            updated_at=tx.now(),
        )
    )
    tx.session.flush()


def _condition(text: str) -> bytes:
    gateway = '<bpmn:exclusiveGateway id="g" name="G" default="g-end"/>'
    return bpmn(
        start(), gateway, script("a"), end(), path("start", "g", "end"), path("a", "end"), flow("f", "g", "a", text)
    )


def _around(node: str, *more: str) -> bytes:
    return bpmn(start(), node, *more, end(), path("start", "a", "end"))


REFUSED = {
    "Python in a script task": (
        _around('<bpmn:scriptTask id="a"><bpmn:script>import os; os.system("x")</bpmn:script></bpmn:scriptTask>'),
        "python_script",
        "a",
        "FEEL",
    ),
    "__import__ in a condition": (_condition('=__import__("os").system("x") = 0'), "unknown_function", "f", "FEEL"),
    "a document type": (b"<!DOCTYPE x>" + _around(script("a"))[38:], "unreadable_file", "flow.bpmn", "Remove"),
    "a compensation event": (
        _around(script("a"), boundary("b", "a", "<bpmn:compensateEventDefinition/>")),
        "unsupported_element",
        "b",
        "voids or refunds",
    ),
    "an unknown operation": (_around(service("a", "payment.captur")), "unknown_operation", "a", "payment.capture"),
    "a misspelt parameter": (
        _around(service("a", "risk.record", ("=1", "amuont"))),
        "unknown_parameter",
        "a",
        "'amount'",
    ),
    "a gateway without default": (
        _condition("=n").replace(b'default="g-end"', b""),
        "gateway_without_default",
        "g",
        "default",
    ),
    "an unreachable node": (_around(script("a"), script("b"), path("b", "end")), "unreachable", "b", "flow to it"),
    "an endless call cycle": (_around(call("a", "flow")), "call_cycle", "a", "loop"),
    "ten megabytes": (_around(script("a")) + b" " * 10_000_000, "unreadable_file", "flow.bpmn", "call them"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_could_hurt_is_refused_with_element_and_remedy_and_nothing_is_stored(store: Database, what: str) -> None:
    content, code, element, remedy = REFUSED[what]
    with pytest.raises(DefinitionRefused) as refused, store.begin() as tx:
        deploy(tx, ANN, child(), Upload("flow.bpmn", content))
    found = [one for one in refused.value.extra["findings"] if one["code"] == code]
    assert [one["element"] for one in found] == [element]
    assert remedy in found[0]["remedy"]
    with store.begin() as tx:
        assert stored(tx) == 0
        assert tx.session.scalar(select(func.count()).select_from(AuditEntry)) == 0


def test_a_file_can_be_looked_at_without_deploying_it(store: Database) -> None:
    with store.begin() as tx:
        deploy(tx, SYSTEM, TABLE_FILE, FORM_FILE, publish=True)
        known = definitions.known(tx, M, operations)
        found = lint([parent()], known)
        assert [(one.code, one.element) for one in found] == [("unknown_process", "c")]
        assert lint([parent(), child()], known) == []
        assert stored(tx) == 2
