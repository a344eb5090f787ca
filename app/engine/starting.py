"""Processes whose time has come are started, each round once, whoever looks and however often."""

from app.access.actor import system
from app.engine import inbox, occasions
from app.engine.models import Instance, Occasion
from app.events import audit
from app.kit.database import Tx
from app.kit.ids import derived_id


def start_due(tx: Tx, definition_id: str) -> bool:
    """Start the process of this version if it is still due; False when somebody else did, or it is not any more.

    The instance's id follows from the process and the round, so that a round which another version of the process has
    started is not started again.
    """
    occasion = tx.session.get(Occasion, definition_id, with_for_update={"skip_locked": True}, populate_existing=True)
    now = tx.now()
    if occasion is None or occasion.due_at is None or occasion.due_at > now:
        return False
    due_at = occasion.due_at
    instance_id = derived_id("ins", occasion.merchant_id, occasion.process, due_at.isoformat())
    occasions.passed(occasion, now)
    if tx.session.get(Instance, instance_id) is None:
        actor = system(occasion.merchant_id)
        inbox.start_instance(tx, actor, occasion.process, instance_id=instance_id)
        audit.record(
            tx, actor, "instance.started", instance_id, {"process": occasion.process, "due_at": due_at.isoformat()}
        )
    tx.session.flush()
    return True
