"""Long work as rows: asked for in a request, done by a worker piece by piece, with progress and a way to stop it.

A worker that dies leaves a lease that runs out, and another one does the work from its start; so a kind of work must
bear being done twice. It has no effect before its last piece.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from threading import Event
from typing import Any, Final, Protocol

import structlog
from sqlalchemy import or_, select, update

from app.access.actor import Actor
from app.errors import AppError, NotFound
from app.events import audit
from app.jobs.models import LongJob
from app.kit.database import Database, Json, Tx
from app.kit.ids import new_id
from app.kit.trace import following, mark, span

log = structlog.get_logger()

CHANNEL: Final = "sluice_jobs"
#: Longer than any piece of work between two calls of `progress`.
LEASE: Final = timedelta(seconds=10)
#: A job that ended its worker this often is not tried again.
TRIES: Final = 3
OPEN: Final = ("queued", "running")


class JobNotFound(NotFound):
    code = "job_not_found"
    title = "There is no such job"


class JobEnded(AppError):
    code = "job_ended"
    title = "The job has already ended"
    status = 409


class Interrupted(Exception):
    """Raised by `progress`: somebody canceled the job, this worker is stopping, or it is another one's by now."""


class Canceled(Interrupted):
    pass


class Running:
    """A job in this worker's hands. Its work calls `progress` between pieces and goes on only if that returns."""

    def __init__(self, database: Database, owner: str, stopping: Event, job: LongJob) -> None:
        self.id = job.id
        self.merchant_id = job.merchant_id
        self.params: Json = dict(job.params)
        self.created_at: datetime = job.created_at
        self.kind = job.kind
        self.tries = job.tries
        self.trace = job.trace
        self._database = database
        self._owner = owner
        self._stopping = stopping

    def progress(self, done: int, total: int | None = None) -> None:
        """Tell how far it is and keep the lease; raises Interrupted."""
        if self._stopping.is_set():
            raise Interrupted
        with self._database.begin() as tx:
            changes: dict[str, Any] = {"done": done, "total": total, "lease_until": tx.now() + LEASE}
            if self._change(tx, **changes):
                raise Canceled

    def end(self, status: str, **changes: Any) -> None:
        with self._database.begin() as tx:
            self._change(tx, status=status, ended_at=tx.now(), lease_owner=None, lease_until=None, **changes)

    def give_back(self) -> None:
        """For another worker, at once."""
        with self._database.begin() as tx:
            self._change(tx, status="queued", lease_owner=None, lease_until=None, tries=self.tries - 1)
            tx.notify(CHANNEL)

    def _change(self, tx: Tx, **changes: Any) -> bool:
        """Whether somebody asked to cancel; Interrupted when the job is no longer ours."""
        mine = (LongJob.id == self.id, LongJob.lease_owner == self._owner, LongJob.status == "running")
        statement = update(LongJob).where(*mine).values(**changes).returning(LongJob.cancel_requested)
        canceled = tx.session.scalar(statement)
        if canceled is None:
            raise Interrupted
        return canceled


class Kind(Protocol):
    """One kind of long work."""

    name: str

    def work(self, job: Running) -> Json:
        """Do it; what is returned becomes the job's result. An AppError tells the caller why it failed."""
        ...


class LongJobs:
    """Does jobs of the given kinds one after the other, whichever worker asked first."""

    def __init__(self, database: Database, kinds: Iterable[Kind], owner: str, stopping: Event) -> None:
        self._database = database
        self._kinds = {kind.name: kind for kind in kinds}
        self._owner = owner
        self._stopping = stopping

    def turn(self) -> int:
        """Take one job and see it through; 0 when there is none."""
        with self._database.begin() as tx:
            job = self._claim(tx)
        if job is None:
            return 0
        with following(job.trace, job=job.id), span("long job"):
            self._see_through(job)
        return 1

    def _claim(self, tx: Tx) -> Running | None:
        row = tx.session.scalar(
            select(LongJob)
            .where(
                LongJob.status.in_(OPEN),
                LongJob.kind.in_(self._kinds),
                or_(LongJob.lease_until.is_(None), LongJob.lease_until < tx.now()),
            )
            .order_by(LongJob.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        if row is None:
            return None
        row.status, row.lease_owner, row.lease_until = "running", self._owner, tx.now() + LEASE
        row.started_at = row.started_at or tx.now()
        row.tries += 1
        return Running(self._database, self._owner, self._stopping, row)

    def _see_through(self, job: Running) -> None:
        try:
            self._work(job)
        except Canceled:
            # It ends here although the worker may be stopping, too: nobody wants it done.
            job.end("canceled")
        except Interrupted:
            if self._stopping.is_set():
                job.give_back()
            log.info("job.interrupted")
        except AppError as error:
            job.end("failed", error=error.detail)
        except Exception as error:
            log.exception("job.failed")
            job.end("failed", error=f"It could not be done: {type(error).__name__}")

    def _work(self, job: Running) -> None:
        if job.tries > TRIES:
            raise AppError(f"It was begun {TRIES} times and never finished")
        job.progress(0)
        result = self._kinds[job.kind].work(job)
        job.end("completed", result=result)
        log.info("job.completed", kind=job.kind)


def request_job(tx: Tx, actor: Actor, kind: str, params: Json) -> LongJob:
    """Ask for long work; a worker begins it as soon as one is free."""
    job = LongJob(
        id=new_id("job"),
        merchant_id=actor.merchant_id,
        kind=kind,
        params=params,
        status="queued",
        trace=mark(),
        requested_by=actor.id,
        created_at=tx.now(),
    )
    tx.session.add(job)
    tx.session.flush()
    audit.record(tx, actor, f"{kind}.requested", job.id, params)
    tx.notify(CHANNEL)
    return job


def find_job(tx: Tx, merchant_id: str, kind: str, job_id: str) -> LongJob:
    job = tx.session.get(LongJob, job_id)
    if job is None or (job.merchant_id, job.kind) != (merchant_id, kind):
        raise JobNotFound(f"There is no {kind} {job_id!r}")
    return job


def cancel_job(tx: Tx, actor: Actor, kind: str, job_id: str) -> LongJob:
    """At once when nobody has begun it, otherwise after the piece that is being done."""
    find_job(tx, actor.merchant_id, kind, job_id)
    job = tx.session.get_one(LongJob, job_id, with_for_update=True, populate_existing=True)
    if job.status not in OPEN:
        raise JobEnded(f"The {kind} is {job.status}")
    job.cancel_requested = True
    if job.status == "queued":
        job.status, job.ended_at = "canceled", tx.now()
    tx.session.flush()
    audit.record(tx, actor, f"{kind}.canceled", job.id)
    return job
