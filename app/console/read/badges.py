"""The small numbers beside the areas: what waits for somebody."""

from sqlalchemy import func, select, union_all

from app.access.actor import Actor
from app.engine.models import Incident, Task
from app.kit.database import Tx
from app.payments.models import Attempt


def badges(tx: Tx, actor: Actor) -> dict[str, int]:
    """Open tasks nobody has, and what needs repair: open incidents and attempts with an unknown outcome."""
    merchant = actor.merchant_id
    parts = union_all(
        select(func.count()).where(Task.merchant_id == merchant, Task.status == "open"),
        select(func.count()).where(Incident.merchant_id == merchant, Incident.status == "open"),
        select(func.count()).where(Attempt.merchant_id == merchant, Attempt.outcome == "unknown"),
    )
    tasks, incidents, unknowns = tx.session.scalars(parts).all()
    return {"review": tasks, "repairs": incidents + unknowns}
