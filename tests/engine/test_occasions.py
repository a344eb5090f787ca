"""Processes that start by themselves: by a message, at a moment, or again and again; each occasion once."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app.access.actor import Actor, Role
from app.access.merchants import create_merchant
from app.engine import definitions, inbox, occasions, starting
from app.engine.definitions import DefinitionRefused
from app.engine.lint import Upload
from app.engine.models import Definition, Instance, Message, Occasion
from app.errors import Conflict
from tests.engine.drive import Drive
from tests.engine.lint.draw import (
    bpmn,
    call,
    element,
    end,
    message,
    message_event,
    path,
    script,
    service,
    timer_event,
    user,
)
from tests.house import MERCHANT, House

OTHER = "mer_other"
WAITED = message("paid", "=order")


def begun(event: str, work: str = "", *, process: str = "orders", declare: tuple[str, ...] = ()) -> Upload:
    """A process with that start event, some work and an end."""
    parts = (element("startEvent", "s", event), work or script("work"), end(), path("s", "work", "end"))
    drawn = bpmn(*parts, process=process, before="".join(declare))
    return Upload(f"{process}.bpmn", drawn)


ORDERED = (message("order.placed", ""),)
BY_MESSAGE = begun(
    message_event("order.placed"),
    element("intermediateCatchEvent", "work", message_event("paid")),
    declare=(*ORDERED, WAITED),
)


def publish(house: House, *files: Upload, merchant: str = MERCHANT) -> list[Definition]:
    actor = Actor("system", "Sluice", merchant, frozenset(Role))
    with house.database.begin() as tx:
        return definitions.deploy(tx, actor, files, publish=True)


def tell(house: House, name: str = "order.placed", key: str = "", dedupe: str = "1", merchant: str = MERCHANT) -> bool:
    with house.database.begin() as tx:
        return inbox.publish_message(tx, merchant, name, key, {"order": key, "total": 5}, dedupe, "key_shop")


def started(house: House, process: str = "orders") -> list[Instance]:
    with house.database.begin() as tx:
        query = select(Instance).where(Instance.process == process).order_by(Instance.created_at, Instance.id)
        return list(tx.session.scalars(query))


def occasion(house: House, process: str = "orders") -> Occasion | None:
    with house.database.begin() as tx:
        return tx.session.scalar(select(Occasion).where(Occasion.process == process))


def test_a_message_starts_the_process_that_begins_with_it(house: House) -> None:
    publish(house, BY_MESSAGE)
    assert tell(house, key="order-1")
    house.run()
    [instance] = started(house)
    assert (instance.subject, instance.created_by, instance.status) == ("order-1", "key_shop", "waiting")
    assert instance.variables == {"order": "order-1", "total": 5}
    assert tell(house, "paid", "order-1")
    house.run()
    assert started(house)[0].status == "completed"


def test_the_same_message_starts_it_once_and_another_starts_another(house: House) -> None:
    publish(house, BY_MESSAGE)
    assert [tell(house, key="order-1"), tell(house, key="order-1"), tell(house, key="order-1", dedupe="2")] == [
        True,
        False,
        True,
    ]
    assert len(started(house)) == 2


def test_messages_that_come_at_the_same_moment_start_it_once(house: House) -> None:
    publish(house, BY_MESSAGE)
    with ThreadPoolExecutor(6) as pool:
        taken = list(pool.map(lambda _: tell(house, key="order-1"), range(6)))
    assert sorted(taken) == [False] * 5 + [True]
    assert len(started(house)) == 1


def test_who_waits_for_a_message_comes_before_what_it_would_start(house: House) -> None:
    waiting = begun(
        "",
        element("intermediateCatchEvent", "work", message_event("order.placed")),
        process="waiting",
        declare=(message("order.placed", "=order"),),
    )
    publish(house, begun(message_event("order.placed"), declare=ORDERED), waiting)
    with house.database.begin() as tx:
        inbox.start_instance(tx, house.system, "waiting", variables={"order": "o-1"})
    house.run()
    tell(house, key="o-1")
    house.run()
    assert started(house) == []
    assert started(house, "waiting")[0].status == "completed"
    tell(house, key="o-2", dedupe="2")
    assert len(started(house)) == 1


def test_a_message_that_a_diagram_throws_starts_a_process_too(house: House) -> None:
    thrown = begun(
        "",
        element("intermediateThrowEvent", "work", message_event("order.placed")),
        process="shop",
        declare=(message("order.placed", "=&quot;o-7&quot;"),),
    )
    publish(house, begun(message_event("order.placed"), declare=ORDERED), thrown)
    with house.database.begin() as tx:
        inbox.start_instance(tx, house.system, "shop")
    house.run()
    assert [(one.subject, one.status) for one in started(house)] == [("o-7", "completed")]


def test_what_is_about_a_payment_is_not_taken_over_by_a_message(house: House) -> None:
    publish(house, BY_MESSAGE)
    tell(house, key="pay_1")
    [instance] = started(house)
    assert instance.subject == instance.id


def test_messages_of_one_merchant_start_nothing_of_another(house: House) -> None:
    with house.database.begin() as tx:
        create_merchant(tx, "Other", merchant_id=OTHER)
    publish(house, BY_MESSAGE)
    tell(house, merchant=OTHER)
    assert started(house) == []


def test_only_the_published_version_starts_and_a_retired_one_does_not(house: House) -> None:
    first = publish(house, BY_MESSAGE)[0]
    second = publish(house, begun(message_event("order.placed"), declare=ORDERED))[0]
    tell(house)
    assert [one.definition_id for one in started(house)] == [second.id]
    assert first.id != second.id
    with house.database.begin() as tx:
        definitions.retire(tx, house.system, second.id)
    tell(house, dedupe="2")
    assert len(started(house)) == 1
    with house.database.begin() as tx:
        assert tx.session.scalar(select(func.count()).select_from(Message).where(Message.delivered_to.is_(None))) == 1


def test_one_message_starts_one_process(house: House) -> None:
    publish(house, BY_MESSAGE)
    with pytest.raises(Conflict, match="already starts orders"):
        publish(house, begun(message_event("order.placed"), process="copies", declare=ORDERED))
    plain = begun("", process="orders")
    publish(house, plain, begun(message_event("order.placed"), process="copies", declare=ORDERED))
    tell(house)
    assert (len(started(house)), len(started(house, "copies"))) == (0, 1)


def test_nothing_that_starts_by_itself_comes_to_act_on_money(house: House) -> None:
    calling = begun(
        message_event("order.placed"),
        call("work", "part"),
        declare=ORDERED,
    )
    publish(house, calling, begun("", process="part"))
    with pytest.raises(Conflict, match="starts by itself"):
        publish(house, begun("", service("work", "payment.validate"), process="part"))
    with pytest.raises(DefinitionRefused, match="no payment to act on"):
        publish(house, begun(timer_event(tag="timeCycle", text="R/P1D"), service("work", "payment.validate")))


def test_a_date_starts_it_once(house: House) -> None:
    moment = house.clock.now() + timedelta(hours=2)
    publish(house, begun(timer_event(tag="timeDate", text=moment.isoformat())))
    house.run()
    assert started(house) == []
    house.later(hours=2, seconds=1)
    house.later(hours=5)
    assert [one.status for one in started(house)] == ["completed"]
    assert occasion(house).due_at is None


def test_a_date_that_has_passed_starts_nothing(house: House) -> None:
    publish(house, begun(timer_event(tag="timeDate", text="2020-01-01T00:00:00Z")))
    house.later(hours=1)
    assert started(house) == []


def test_a_cycle_starts_it_every_round_until_none_is_left(house: House) -> None:
    publish(house, begun(timer_event(tag="timeCycle", text="R3/PT1H")))
    for hours in range(1, 6):
        house.later(minutes=61)
        assert len(started(house)) == min(hours, 3)
    assert (occasion(house).rounds_left, occasion(house).due_at) == (0, None)


def test_missed_rounds_are_folded_into_one_and_the_next_counts_from_now(house: House) -> None:
    publish(house, begun(timer_event(tag="timeCycle", text="R/PT1H")))
    house.later(hours=10, minutes=30)
    assert len(started(house)) == 1
    house.later(minutes=50)
    assert len(started(house)) == 1
    house.later(minutes=11)
    assert len(started(house)) == 2


def test_a_cycle_with_a_date_starts_it_at_the_date_first(house: House) -> None:
    moment = house.clock.now() + timedelta(hours=5)
    publish(house, begun(timer_event(tag="timeCycle", text=f"R/{moment.isoformat()}/PT1H")))
    assert occasion(house).due_at == moment
    house.later(hours=4, minutes=59)
    assert started(house) == []
    house.later(minutes=2)
    assert len(started(house)) == 1
    assert occasion(house).due_at == moment + timedelta(hours=1)


def test_a_cycle_whose_date_has_passed_starts_it_once_and_the_next_counts_from_now(house: House) -> None:
    publish(house, begun(timer_event(tag="timeCycle", text="R/2020-01-01T09:00:00Z/PT1H")))
    for minutes, so_far in ((1, 1), (58, 1), (3, 2)):
        house.later(minutes=minutes)
        assert len(started(house)) == so_far


def test_the_rhythm_outlives_a_new_version_that_draws_the_same(house: House) -> None:
    publish(house, begun(timer_event(tag="timeCycle", text="R/PT1H")))
    house.later(minutes=50)
    newer = publish(house, begun(timer_event(tag="timeCycle", text="R/PT1H"), script("work", "=2", "n")))[0]
    house.later(minutes=11)
    assert [one.definition_id for one in started(house)] == [newer.id]
    publish(house, begun(timer_event(tag="timeCycle", text="R/PT3H")))
    house.later(hours=2)
    assert len(started(house)) == 1


def test_many_workers_start_a_round_once(house: House) -> None:
    definition = publish(house, begun(timer_event(tag="timeCycle", text="R/PT1H")))[0]
    house.clock.advance(timedelta(hours=1, seconds=1))

    def fire(_: int) -> bool:
        with house.database.begin() as tx:
            return starting.start_due(tx, definition.id)

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(fire, range(6))) == [False] * 5 + [True]
    assert len(started(house)) == 1


def test_a_round_that_another_version_has_started_is_not_started_again(house: House) -> None:
    definition = publish(house, begun(timer_event(tag="timeCycle", text="R/PT1H")))[0]
    due_at = occasion(house).due_at
    house.later(hours=1, seconds=1)
    with house.database.begin() as tx:  # as a backup that is older than the instance would have it
        tx.session.get_one(Occasion, definition.id).due_at = due_at
    house.run()
    assert len(started(house)) == 1


def test_a_retired_version_does_not_start_at_its_time(house: House) -> None:
    definition = publish(house, begun(timer_event(tag="timeCycle", text="R/PT1H")))[0]
    with house.database.begin() as tx:
        definitions.retire(tx, house.system, definition.id)
        assert occasions.standing(tx, MERCHANT) == []
    house.later(hours=3)
    assert started(house) == []


def test_nothing_starts_while_nothing_may_be_sent(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(house, begun(timer_event(tag="timeCycle", text="R/PT1H")))
    house.clock.advance(timedelta(hours=2))
    with monkeypatch.context() as held:
        held.setattr(type(house.wired.sending), "held", lambda *_: True)
        house.chores.turn()
        assert started(house) == []
    house.chores.turn()
    assert len(started(house)) == 1


@pytest.mark.parametrize(
    "event",
    [
        message_event("order.placed"),
        timer_event(tag="timeCycle", text="R/P1D"),
        timer_event(tag="timeDate", text="=now()"),
    ],
)
def test_started_in_another_way_it_begins_at_once(event: str) -> None:
    """By hand over the API, or called by another process."""
    drive = Drive(begun(event, user("work"), declare=ORDERED).content)
    assert drive.open_nodes == ["work#1"]
