"""Messages that come before anybody waits for them: kept for a while, given out oldest first, and then no more."""

from datetime import timedelta

from app.engine import definitions, inbox
from app.engine.lint import Upload
from app.engine.models import Instance
from tests.engine.lint.draw import bpmn, element, end, message, message_event, path, start
from tests.house import MERCHANT, House

MINUTES = timedelta(minutes=5)
WAIT = element("intermediateCatchEvent", "wait", message_event("paid"))
WAITING = bpmn(start(), WAIT, end(), path("start", "wait", "end"), process="waiting", before=message("paid", "=order"))


def tell(house: House, amount: int, key: str = "o-1", name: str = "paid", ttl: timedelta = MINUTES) -> None:
    with house.database.begin() as tx:
        assert inbox.publish_message(tx, MERCHANT, name, key, {"amount": amount}, str(amount), "key_shop", ttl)


def begin(house: House, key: str = "o-1") -> str:
    with house.database.begin() as tx:
        definitions.deploy(tx, house.system, [Upload("waiting.bpmn", WAITING)], publish=True)
        started = inbox.start_instance(tx, house.system, "waiting", variables={"order": key}).id
    house.run()
    return started


def stands(house: House, instance_id: str) -> tuple[str, object]:
    with house.database.begin() as tx:
        instance = tx.session.get_one(Instance, instance_id)
        return instance.status, instance.variables.get("amount")


def test_a_message_that_comes_early_is_kept_until_somebody_waits_for_it(house: House) -> None:
    tell(house, 5)
    house.later(seconds=120)
    assert stands(house, begin(house)) == ("completed", 5)


def test_a_message_is_kept_no_longer_than_it_was_meant_to_be(house: House) -> None:
    tell(house, 5)
    house.later(seconds=301)
    waiting = begin(house)
    assert stands(house, waiting) == ("waiting", None)
    tell(house, 6)
    house.run()
    assert stands(house, waiting) == ("completed", 6)


def test_kept_messages_go_to_whom_they_are_addressed_the_oldest_first(house: House) -> None:
    tell(house, 1, key="o-2")
    tell(house, 2, name="refunded")
    tell(house, 3)
    tell(house, 4)
    assert [stands(house, begin(house)) for _ in range(3)] == [("completed", 3), ("completed", 4), ("waiting", None)]
    assert stands(house, begin(house, "o-2")) == ("completed", 1)
