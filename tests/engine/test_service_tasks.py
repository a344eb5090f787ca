"""Service tasks: what they ask for, what comes back, and what comes back too late."""

from app.engine.step import Call, InstanceStatus, JournalKind
from tests.engine.diagrams import boundary, chain, declared_error, draw, end, error, service, start, timer
from tests.engine.drive import Drive

ONE = draw(
    start(),
    service(
        "a", "payment.authorize", inputs={"amount": "=total", "note": "literal"}, outputs={"auth.id": "=reference"}
    ),
    end(),
    chain("s", "a", "e"),
)
PLAIN = draw(start(), service("a"), end(), chain("s", "a", "e"))


def test_a_service_task_asks_for_its_operation_with_its_inputs() -> None:
    drive = Drive(ONE, total=500)
    assert drive.step.calls == (Call("a#1", "a", "payment.authorize", {"amount": 500, "note": "literal"}, 3),)
    assert drive.step.status is InstanceStatus.RUNNING


def test_an_output_mapping_sets_an_entry_of_a_context_and_nothing_else() -> None:
    drive = Drive(ONE, total=500, auth={"kept": True})
    step = drive.result("a#1", reference="ch_1", ignored=1)
    assert step.variables == {"total": 500, "auth": {"kept": True, "id": "ch_1"}}
    assert step.status is InstanceStatus.COMPLETED


def test_without_an_output_mapping_the_result_becomes_variables() -> None:
    assert Drive(PLAIN, x=1).result("a#1", y=[1], x=2).variables == {"x": 2, "y": [1]}


def test_without_an_input_mapping_an_operation_gets_no_parameters() -> None:
    assert Drive(PLAIN, x=1).step.calls[0].params == {}


def test_a_second_result_for_the_same_call_is_stale() -> None:
    drive = Drive(draw(start(), service("a"), service("b"), end(), chain("s", "a", "b", "e")))
    drive.result("a#1", x=1)
    step = drive.result("a#1", x=2)
    assert step.variables == {"x": 1}
    assert [entry.kind for entry in step.journal] == [JournalKind.STALE]
    assert drive.open_nodes == ["b#1"]


def test_a_result_for_an_ended_instance_is_stale() -> None:
    drive = Drive(PLAIN)
    drive.result("a#1")
    assert [entry.kind for entry in drive.result("a#1").journal] == [JournalKind.STALE]
    assert drive.step.status is InstanceStatus.COMPLETED


def test_a_technical_failure_is_an_incident_until_a_retry_asks_for_the_call_again() -> None:
    drive = Drive(ONE, total=500)
    step = drive.failed("a#1", "gateway unreachable")
    assert step.status is InstanceStatus.INCIDENT
    assert (step.calls, step.waits) == ((), ())
    assert [(i.node, i.kind, i.message) for i in step.incidents] == [("a#1", "call_failed", "gateway unreachable")]
    assert drive.advance().incidents == step.incidents
    step = drive.retry("a#1", {"total": 400})
    assert step.incidents == ()
    assert step.calls[0].node == "a#1"
    assert step.calls[0].params["amount"] == 400
    assert [(e.kind, e.actor) for e in step.journal] == [(JournalKind.REPAIRED, "usr_op")]


def test_an_answer_that_no_variable_can_hold_is_an_incident_and_not_the_end_of_the_worker() -> None:
    nested: list[object] = []
    for _ in range(200):
        nested = [nested]
    drive = Drive(PLAIN)
    step = drive.result("a#1", x=nested)
    assert [(i.node, i.kind) for i in step.incidents] == [("a#1", "call_failed")]
    assert "more than 100 levels deep" in step.incidents[0].message
    drive.retry("a#1")
    assert drive.result("a#1", x=1).variables == {"x": 1}


def test_a_late_result_does_not_close_an_incident() -> None:
    drive = Drive(PLAIN)
    drive.failed("a#1")
    step = drive.result("a#1", x=1)
    assert step.status is InstanceStatus.INCIDENT
    assert step.variables == {}


def test_a_retry_without_an_incident_is_stale() -> None:
    assert [e.kind for e in Drive(PLAIN).retry("a#1").journal] == [JournalKind.STALE]


GUARDED = draw(
    start(),
    service("a"),
    boundary("declined", "a", error("DECLINED"), outputs={"why": "=reason", "code": "=error.code"}),
    boundary("other", "a", error()),
    boundary("late", "a", timer("timeDuration", "PT1H")),
    end(),
    end("e1"),
    end("e2"),
    end("e3"),
    chain("s", "a", "e"),
    chain("declined", "e1"),
    chain("other", "e2"),
    chain("late", "e3"),
    declare=[declared_error("DECLINED")],
)


def test_an_error_takes_the_boundary_event_with_its_code() -> None:
    drive = Drive(GUARDED)
    step = drive.error("a#1", "DECLINED", "no money", reason="nsf")
    assert drive.taken == ["s_a", "declined_e1"]
    assert step.variables == {"why": "nsf", "code": "DECLINED"}
    assert step.status is InstanceStatus.COMPLETED
    assert drive.nodes(JournalKind.CANCELED) == ["a#1"]
    assert drive.facts(JournalKind.ERROR) == [{"code": "DECLINED", "message": "no money", "caught_by": "declined"}]


def test_an_error_without_its_own_boundary_event_takes_the_one_for_all() -> None:
    drive = Drive(GUARDED)
    step = drive.error("a#1", "STOLEN", "stolen card", reason="x")
    assert drive.taken == ["s_a", "other_e2"]
    assert step.variables == {"error": {"code": "STOLEN", "message": "stolen card", "reason": "x"}}


def test_an_uncaught_error_stops_the_instance_with_an_incident() -> None:
    drive = Drive(PLAIN)
    step = drive.error("a#1", "STOLEN", "stolen card", reason="x")
    assert step.status is InstanceStatus.INCIDENT
    assert step.incidents[0].kind == "uncaught_error"
    assert step.incidents[0].details == {"code": "STOLEN", "message": "stolen card", "facts": {"reason": "x"}}
    assert drive.taken == ["s_a"]
    assert drive.retry("a#1").calls[0].node == "a#1"


def test_a_boundary_timer_interrupts_a_call_under_way_and_its_late_result_is_stale() -> None:
    drive = Drive(GUARDED)
    assert drive.step.due_at is not None
    step = drive.after(hours=1)
    assert drive.taken == ["s_a", "late_e3"]
    assert step.calls == ()
    step = drive.result("a#1", paid=True)
    assert [e.kind for e in step.journal] == [JournalKind.STALE]
    assert step.variables == {}


def test_a_result_and_a_due_timer_in_one_step_the_result_wins() -> None:
    drive = Drive(GUARDED)
    drive.now = drive.now.replace(hour=23)
    drive.result("a#1", paid=True)
    assert drive.taken == ["s_a", "a_e"]


def test_the_number_of_retries_is_read_from_the_diagram() -> None:
    drawn = draw(start(), service("a", retries="=tries"), end(), chain("s", "a", "e"))
    assert Drive(drawn, tries=7).step.calls[0].retries == 7
    step = Drive(drawn, tries="often").step
    assert step.incidents[0].kind == "expression"
    assert "number of retries" in step.incidents[0].message
