"""What people do in these tests."""

from app.access.actor import Role
from app.engine import people
from app.engine.people import Completion
from tests.house import House

APPROVE = Completion("approve", "customer_confirmed")


def decide(house: House, who: str, subject: str, completion: Completion, role: Role = Role.REVIEWER) -> None:
    """The person takes the decision on the one open task about `subject`, and the house comes to rest."""
    with house.database.begin() as tx:
        people.complete(tx, house.person(who, role), house.task(subject).id, completion)
    house.run()
