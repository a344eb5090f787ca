"""A database brought back to an hour ago, while the gateways went on: nothing is charged again by itself."""

import orjson
import pytest
from sqlalchemy import select, text

from app.engine import inbox
from app.events.models import Event
from app.installation import Hold, Installation, Sending, open_hold
from app.kit.crashpoint import Point
from app.payments import service
from tests.hostile import answers, hostile
from tests.house import House
from tests.restore.conftest import Backup, Sluice
from tests.system.crash import Crash, at


def effects(house: House) -> list[tuple[str, int, int, int]]:
    """What the gateways hold: one line per charge, as money moved there."""
    return sorted(
        (str(charge["reference"]), charge["authorized"], charge["captured"], charge["refunded"])
        for charge in house.charges()
    )


def open_one(house: House) -> Hold | None:
    with house.database.begin() as tx:
        return open_hold(tx)


def held(house: House) -> bool:
    with house.database.begin() as tx:
        return Sending().held(tx)


def test_a_database_that_stays_where_it_is_is_not_held(house: House) -> None:
    assert not held(house)
    house.paid()
    assert not held(house)
    assert open_one(house) is None


def test_a_restored_dump_is_held_before_its_first_call_and_says_why(house: House, backup: Backup) -> None:
    house.run()
    house.pay()
    backup.take()
    restored = backup.restore()
    restored.run()
    assert effects(restored) == []
    hold = open_one(restored)
    assert hold is not None
    assert "a copy beside the former one" in hold.reason
    assert "made anew from a dump" in hold.reason


def test_another_timeline_or_server_is_held(house: House) -> None:
    """What a promoted standby, a point-in-time recovery and a new server look like from inside."""
    for part, word in (("timeline", "promoted or restored"), ("system", "another PostgreSQL server")):
        assert not held(house)
        with house.database.begin() as tx:
            row = tx.session.get_one(Installation, 1)
            row.identity = {**row.identity, part: "former"}
        assert held(house)
        assert held(house), "it stays so"
        hold = open_one(house)
        assert hold is not None
        assert word in hold.reason
        with house.database.begin() as tx:
            tx.execute(text("UPDATE holds SET released_at = now()"))


def test_the_role_of_the_application_may_read_where_it_is(house: House) -> None:
    with house.database.begin() as tx:
        tx.execute(text("CREATE ROLE plain NOLOGIN"))
        tx.execute(text("GRANT SELECT ON installation, holds TO plain"))
        tx.execute(text("SET LOCAL ROLE plain"))
        found = tx.execute(
            text("SELECT system_identifier, left(pg_walfile_name(pg_current_wal_lsn()), 8) FROM pg_control_system()")
        ).one()
        tx.execute(text("RESET ROLE"))
        tx.execute(text("DROP OWNED BY plain"))
        tx.execute(text("DROP ROLE plain"))
    assert found[0]
    assert int(found[1], 16) >= 1


def test_nothing_is_charged_again_when_an_hour_is_forgotten(house: House, backup: Backup, sluice: Sluice) -> None:
    house.run()
    held_back = house.pay(capture_method="manual")  # authorized in the backup, captured after it
    house.run()
    waiting = house.pay()  # started in the backup, charged after it
    backup.take()
    house.run()
    with house.database.begin() as tx:
        service.request_capture(tx, house.shop, held_back)
    forgotten = house.paid()  # not in the backup at all
    house.run()
    house.later(hours=1)
    before = effects(house)
    assert len(before) == 3

    restored = backup.restore()
    restored.run()
    assert effects(restored) == before, "held: nothing is sent"
    too_early = sluice(restored, "release-sending", "--by", "Olga")
    assert too_early.exit_code == 1
    assert "sluice recover" in too_early.output

    looked = sluice(restored, "recover")
    assert looked.exit_code == 1, looked.output
    assert f"{forgotten}, which is not here" in looked.output
    assert "captured is 0 in our books and 1000 in the other" in looked.output
    kinds = {(one.subject, one.kind) for one in restored.incidents()}
    assert {(waiting, "restored"), (waiting, "parked"), (held_back, "restored")} <= kinds
    assert restored.instance(waiting).status == "incident"

    released = sluice(restored, "release-sending", "--by", "Olga", "--note", "Refunds are done by hand")
    assert released.exit_code == 0, released.output
    restored.run()
    assert effects(restored) == before, "the payment that may have been charged waits for a person"

    (parked,) = [one for one in restored.incidents(waiting) if one.kind == "parked"]
    with restored.database.begin() as tx:
        inbox.retry_incident(tx, restored.system, parked.id, note="The charge is ours")
    restored.run()
    assert effects(restored) == before, "let go on, it finds the charge that it had forgotten"
    assert restored.payment(waiting).status == "succeeded"
    with restored.database.begin() as tx:
        hold = tx.session.scalars(select(Hold)).one()
    assert (hold.released_by, hold.note) == ("Olga", "Refunds are done by hand")


def test_without_books_an_instance_from_before_still_asks_by_its_key_before_it_sends(
    house: House, backup: Backup, sluice: Sluice
) -> None:
    house.run()
    waiting = house.pay()
    backup.take()
    house.run()
    charge = house.charges()[0]
    restored = backup.restore()
    with restored.database.begin() as tx:
        assert Sending().held(tx)
        tx.execute(text("UPDATE holds SET released_at = now()"))
    restored.run()
    assert restored.payment(waiting).status == "succeeded"
    assert restored.a.times_received("authorize", charge["key"]) == 1, "it was found, not sent again"
    restored.check_books()


def test_an_attempt_begun_in_the_backup_is_booked_from_what_the_gateway_says(
    house: House, backup: Backup, sluice: Sluice
) -> None:
    payment_id = house.pay()
    with at(Point.AFTER_STEP_COMMIT):
        try:
            house.loop.turn()
        except Crash:
            house.loop = house.another_loop("worker-2")
    backup.take()
    house.later(seconds=11)
    assert house.payment(payment_id).status == "succeeded"
    restored = backup.restore()
    looked = sluice(restored, "recover")
    assert "authorize at sandbox_a: unclear -> approved" in looked.output, looked.output
    (attempt,) = restored.attempts(payment_id)
    assert (attempt.outcome, attempt.evidence and attempt.evidence["source"]) == ("approved", "lookup")
    assert sluice(restored, "release-sending", "--by", "Olga").exit_code == 0
    restored.later(seconds=11)
    assert restored.payment(payment_id).status == "succeeded"
    assert [charge["captured"] for charge in restored.charges()] == [1000]


def test_a_hold_by_hand_stops_calls_and_deliveries_and_books_answers_that_are_in(house: House, sluice: Sluice) -> None:
    payment_id = house.pay()
    house.loop.turn()
    while not house.callers[0]._answers.qsize():
        pass
    assert sluice(house, "restored").exit_code == 0
    house.run()
    (attempt,) = house.attempts(payment_id)
    assert attempt.outcome == "approved", "what came back is evidence"
    assert [charge["captured"] for charge in house.charges()] == [0], "and leads to no further call"
    with house.database.begin() as tx:
        undrained = tx.session.scalars(select(Event).where(Event.drained_at.is_(None))).all()
    assert undrained
    assert sluice(house, "recover").exit_code == 0
    assert sluice(house, "release-sending", "--by", "Olga").exit_code == 0
    house.later(seconds=11)
    assert house.payment(payment_id).status == "succeeded"
    house.check_books()


def test_release_is_refused_when_nothing_is_held_and_while_a_gateway_was_not_compared(
    house: House, sluice: Sluice
) -> None:
    assert "nothing to release" in sluice(house, "release-sending", "--by", "Olga").output
    assert sluice(house, "restored").exit_code == 0
    house.b.stop()
    looked = sluice(house, "recover")
    assert looked.exit_code == 1
    assert "sandbox_b shows no books here" in looked.output
    refused = sluice(house, "release-sending", "--by", "Olga")
    assert refused.exit_code == 1
    assert "--compared sandbox_b" in refused.output
    assert sluice(house, "release-sending", "--by", "Olga", "--compared", "sandbox_b").exit_code == 0


def test_a_gateway_that_was_compared_for_a_period_is_left_to_people_for_what_is_older(
    house: House, sluice: Sluice, monkeypatch: pytest.MonkeyPatch
) -> None:
    strange = {"id": "pi_9", "object": "payment_intent", "status": "requires_capture", "amount": 700, "currency": "eur"}
    strange |= {
        "created": int(house.clock.now().timestamp()),
        "metadata": {"sluice_attempt": "att_9", "sluice_payment": "pay_9"},
    }
    shown = {"object": "list", "has_more": False, "data": [strange]}
    with hostile(answers(200, orjson.dumps(shown))) as server:
        options = {"base_url": server.url, "api_key": "sk_1"}
        gateways = [{"name": "stripe_a", "adapter": "stripe", "options": options}]
        monkeypatch.setenv("SLUICE_GATEWAYS", orjson.dumps(gateways).decode())
        assert sluice(house, "restored").exit_code == 0
        looked = sluice(house, "recover")
    assert "stripe_a, pay_9, which is not here: att_9: authorized is 0 in our books and 700" in looked.output
    assert "stripe_a was compared for 30 days" in looked.output
    assert "--compared stripe_a" in sluice(house, "release-sending", "--by", "Olga").output
    assert sluice(house, "release-sending", "--by", "Olga", "--compared", "stripe_a").exit_code == 0


def test_recover_resolves_an_unknown_now_and_wakes_its_flow(house: House, sluice: Sluice) -> None:
    payment_id = house.pay("pm_card_timeout_applied")
    house.run()
    assert house.payment(payment_id).status_reason == "outcome_unknown"
    looked = sluice(house, "recover")
    assert looked.exit_code == 0, looked.output
    assert "[1/1]" in looked.output
    assert "unclear -> approved" in looked.output
    assert "0 attempts open, 0 incidents" in looked.output
    assert house.until(payment_id, "succeeded").amount_captured == 1000
    assert len(house.charges()) == 1


def test_recover_lists_what_remains_when_a_gateway_is_away(house: House, sluice: Sluice) -> None:
    house.pay("pm_card_timeout_applied")
    house.run()
    house.a.stop()
    looked = sluice(house, "recover")
    assert looked.exit_code == 1
    assert "sandbox_a could not be asked" in looked.output
    assert "1 attempts open" in looked.output
