"""Instances that failed too often, and what people do about them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from app.access.actor import Role
from app.engine import inbox
from app.engine.models import Incident
from tests.house import MERCHANT, House
from tests.system.test_races import ask_cancel, with_broken_risk


def test_a_parked_instance_can_be_canceled(house: House) -> None:
    poisoned = house.pay()
    with_broken_risk(house, RuntimeError("a bug"), poisoned)
    for _ in range(inbox.PARK_AFTER):
        house.later(seconds=2)
    with house.database.begin() as tx:
        inbox.cancel_instance(tx, house.person("omar", Role.OPERATOR), house.instance(poisoned).id, "it is broken")
    house.run()

    assert house.instance(poisoned).status == "canceled"
    assert [incident.kind for incident in house.incidents()] == ["flow_ended"]
    ask_cancel(house, poisoned)
    assert house.payment(poisoned).status == "canceled"


@pytest.mark.parametrize("again", ["retry", "cancel"])
def test_what_has_ended_is_not_set_going_by_somebody_who_saw_it_parked(house: House, again: str) -> None:
    """Such as by two who cancel it at once, or where a worker or a web of the former version took a part in it."""
    poisoned = house.pay()
    with_broken_risk(house, RuntimeError("a bug"), poisoned)
    for _ in range(inbox.PARK_AFTER):
        house.later(seconds=2)
    omar, (parked,) = house.person("omar", Role.OPERATOR), house.incidents()

    def cancel() -> None:
        with house.database.begin() as tx:
            inbox.cancel_instance(tx, omar, parked.instance_id, "it is broken")
        house.run()

    with house.database.begin() as tx:
        seen = inbox.find_instance(tx, MERCHANT, parked.instance_id)
        assert seen.failures == inbox.PARK_AFTER
        with ThreadPoolExecutor(1) as somebody_else:
            somebody_else.submit(cancel).result()
        if again == "cancel":
            inbox.cancel_instance(tx, omar, parked.instance_id, "it is broken")
    if again == "retry":
        with house.database.begin() as tx:
            tx.execute(update(Incident).where(Incident.id == parked.id).values(status="open"))
            assert inbox.retry_incident(tx, omar, parked.id).status == "resolved"
    house.run()
    ended = house.instance(poisoned)
    assert (ended.status, ended.due_at) == ("canceled", None)
    assert [incident.kind for incident in house.incidents()] == ["flow_ended"]
