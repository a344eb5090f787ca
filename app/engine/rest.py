"""Waiting for an instance to rest, for requests that asked to (`Prefer: wait`)."""

import time

from sqlalchemy import exists, or_, select

from app.engine.models import InboxItem, Instance
from app.engine.step import InstanceStatus
from app.kit.database import Database

FIRST_LOOK_SECONDS = 0.015
LONGEST_PAUSE_SECONDS = 0.1


def wait(database: Database, instance_id: str, seconds: float) -> None:
    """Return when the instance rests (waits, has ended, needs repair), at the latest after `seconds`."""
    arrived = exists().where(InboxItem.instance_id == Instance.id)
    busy = select(Instance.id).where(
        Instance.id == instance_id, or_(Instance.status == InstanceStatus.RUNNING, arrived)
    )
    deadline = time.monotonic() + seconds
    pause = FIRST_LOOK_SECONDS
    while time.monotonic() < deadline:
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
        with database.begin() as tx:
            if tx.session.scalar(busy) is None:
                return
