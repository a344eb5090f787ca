"""What happens by itself: pending things settle, disputes arrive, authorizations and deadlines run out."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from app.sandbox.books import Errand
from app.sandbox.charges import expire_charge, settle_charge, settle_movement
from app.sandbox.desk import Desk
from app.sandbox.disputes import expire_dispute, open_dispute
from app.sandbox.refusals import NotNow

_ACTIONS: Final[Mapping[str, Callable[[Desk, Errand], object]]] = {
    "settle_charge": lambda desk, errand: settle_charge(desk, errand.subject),
    "settle_movement": lambda desk, errand: settle_movement(desk, errand.subject, errand.argument),
    "expire_charge": lambda desk, errand: expire_charge(desk, errand.subject),
    "open_dispute": lambda desk, errand: open_dispute(desk, errand.subject, errand.argument),
    "expire_dispute": lambda desk, errand: expire_dispute(desk, errand.subject, errand.argument),
}


def do_next(desk: Desk) -> bool:
    """Do the first errand that is due, as of the moment it was due for; False when there is none."""
    errand = desk.books.take_errand(desk.now)
    if errand is None:
        return False
    try:
        _ACTIONS[errand.action](replace(desk, now=errand.due), errand)
    except NotNow:
        # Meanwhile the object went another way, for instance by an administrator's hand. Then nothing is left to do.
        return True
    return True
