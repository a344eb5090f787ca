"""What a session gathers of the objects that were changed in it."""

from sqlalchemy.orm import make_transient_to_detached

from app.kit.mapping import ChangesSession
from app.payments.models import Attempt, Payment

PAYMENTS = [f"pay_{number:02}" for number in range(40)]
ATTEMPTS = [f"att_{number:02}" for number in range(40)]


def test_changes_are_written_in_the_order_of_their_keys_and_not_of_addresses_in_memory() -> None:
    session = ChangesSession()
    rows = [
        *(Payment(id=one, status="processing") for one in reversed(PAYMENTS)),
        *(Attempt(id=one) for one in ATTEMPTS),
    ]
    for row in rows:
        make_transient_to_detached(row)
        session.add(row)
        row.currency = "EUR"
    taken = [change.key["id"] for change in session.take_changes()]
    assert taken == [*ATTEMPTS, *PAYMENTS]
    assert not session.take_changes()
