"""Waiting for an instance to rest, for requests that asked to (`Prefer: wait`)."""

import time

from sqlalchemy import select

from app.engine.models import Instance
from app.engine.step import InstanceStatus
from app.kit.database import Database

FIRST_LOOK_SECONDS = 0.015
LONGEST_PAUSE_SECONDS = 0.1


def wait(database: Database, instance_id: str, seconds: float) -> None:
    """Return when the instance rests (waits, has ended, needs repair), at the latest after `seconds`."""
    deadline = time.monotonic() + seconds
    pause = FIRST_LOOK_SECONDS
    while time.monotonic() < deadline:
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)
        with database.begin() as tx:
            status = tx.session.scalar(select(Instance.status).where(Instance.id == instance_id))
        if status != InstanceStatus.RUNNING:
            return
