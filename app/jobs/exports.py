"""Exports: a merchant's payments or ledger entries as a CSV file, as of the moment they were asked for.

Rows are read page by page, each in a short transaction. Cells that a spreadsheet would take for a formula begin with
an apostrophe. A file is written aside and renamed when whole, so nobody ever reads half of one.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Select, func, select

from app.access.actor import Actor, Role
from app.errors import AppError
from app.jobs import long_jobs
from app.jobs.long_jobs import Running
from app.jobs.models import LongJob
from app.kit.cells import harmless
from app.kit.clock import rfc3339
from app.kit.database import Database, Json, Tx
from app.kit.paging import Page, fetch
from app.ledger.models import Account, Entry, Posting
from app.payments.models import Payment

KIND: Final = "export"
ROLES: Final = (Role.INTEGRATOR, Role.OPERATOR, Role.ADMIN)
PAGE: Final = 1000
#: How long a file is kept.
KEEP: Final = timedelta(days=7)

Row = Sequence[Any]


class ExportNotReady(AppError):
    code = "export_not_ready"
    title = "The export has no file"
    status = 409


class ExportGone(AppError):
    code = "export_gone"
    title = "The export's file is no longer kept"
    status = 410


class Exports:
    """The kind of long job that writes files into `folder`, which all web and worker processes share."""

    name = KIND

    def __init__(self, database: Database, folder: Path) -> None:
        self._database = database
        self._folder = folder

    def work(self, job: Running) -> Json:
        self._folder.mkdir(parents=True, exist_ok=True)
        aside = self._folder / f"{job.id}.{job.tries}.part"
        try:
            with aside.open("w", newline="", encoding="utf-8") as file:
                rows = self._write(job, csv.writer(file))
            aside.replace(self._folder / f"{job.id}.csv")
        finally:
            aside.unlink(missing_ok=True)
        return {"rows": rows}

    def file(self, job: LongJob) -> bytes:
        """The whole file; ExportNotReady before it is written, ExportGone when it is no longer kept."""
        if job.status != "completed":
            raise ExportNotReady(f"The export is {job.status}")
        try:
            return (self._folder / f"{job.id}.csv").read_bytes()
        except FileNotFoundError:
            raise ExportGone(f"Files are kept for {KEEP.days} days; ask for the export again") from None

    def purge(self, tx: Tx) -> None:
        """Remove files older than KEEP; called now and then by the worker."""
        oldest = (tx.now() - KEEP).timestamp()
        for path in self._folder.glob("job_*"):
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)

    def _write(self, job: Running, out: Any) -> int:
        columns, read, count = _SOURCES[job.params["what"]]
        with self._database.begin() as tx:
            tx.be_patient()
            total = count(tx, job)
        job.progress(0, total)
        out.writerow(columns)
        done = 0
        for rows in self._pages(job, read):
            out.writerows([[_cell(value) for value in row[1:]] for row in rows])
            done += len(rows)
            job.progress(done, total)
        return done

    def _pages(self, job: Running, read: "Reader") -> Iterator[Sequence[Row]]:
        after: Any = None
        while True:
            with self._database.begin() as tx:
                tx.be_patient()
                rows = read(tx, job, after)
            if rows:
                yield rows
            if len(rows) < PAGE:
                return
            after = rows[-1][0]


#: One page of rows in order of their first value, which is the cursor and is not written.
Reader = Callable[[Tx, Running, Any], Sequence[Row]]


def request_export(
    tx: Tx, actor: Actor, what: str, created_from: datetime | None, created_to: datetime | None
) -> LongJob:
    """Ask for `payments` or `ledger_entries` that were created in [from, to), at the latest now."""
    actor.require(*ROLES)
    end = min(created_to or tx.now(), tx.now())
    params = {"what": what, "from": rfc3339(created_from) if created_from else None, "to": rfc3339(end)}
    return long_jobs.request_job(tx, actor, KIND, params)


def exports(tx: Tx, actor: Actor, limit: int, after: str | None) -> Page[LongJob]:
    """One page, newest first."""
    mine = select(LongJob).where(LongJob.merchant_id == actor.merchant_id, LongJob.kind == KIND)
    return fetch(tx, mine, LongJob.id, limit, after)


def export_view(job: LongJob) -> Json:
    return {
        "id": job.id,
        "object": "export",
        "what": job.params["what"],
        "created_from": job.params["from"],
        "created_to": job.params["to"],
        "status": job.status,
        "done": job.done,
        "total": job.total,
        "error": job.error,
        "file": f"/v1/exports/{job.id}/file" if job.status == "completed" else None,
        "requested_by": job.requested_by,
        "created_at": rfc3339(job.created_at),
        "ended_at": rfc3339(job.ended_at) if job.ended_at else None,
    }


def _within(query: Select[Any], column: Any, params: Json) -> Select[Any]:
    if params["from"]:
        query = query.where(column >= datetime.fromisoformat(params["from"]))
    return query.where(column < datetime.fromisoformat(params["to"]))


def _payments(columns: Sequence[Any], job: Running) -> Select[Any]:
    return _within(select(*columns).where(Payment.merchant_id == job.merchant_id), Payment.created_at, job.params)


def _entries(columns: Sequence[Any], job: Running) -> Select[Any]:
    query = (
        select(*columns)
        .select_from(Entry)
        .join(Posting, Posting.id == Entry.posting_id)
        .join(Account, Account.id == Entry.account_id)
        .where(Posting.merchant_id == job.merchant_id)
    )
    return _within(query, Posting.created_at, job.params)


_PAYMENT = {
    "id": Payment.id,
    "created_at": Payment.created_at,
    "status": Payment.status,
    "status_reason": Payment.status_reason,
    "amount": Payment.amount,
    "amount_captured": Payment.amount_captured,
    "amount_refunded": Payment.amount_refunded,
    "amount_disputed": Payment.amount_disputed,
    "currency": Payment.currency,
    "reference": Payment.reference,
    "customer": Payment.customer["id"].astext,
    "gateway": Payment.gateway,
    "gateway_reference": Payment.gateway_reference,
}
_ENTRY = {
    "id": Entry.id,
    "created_at": Posting.created_at,
    "posting": Posting.id,
    "kind": Posting.kind,
    "account": Account.name,
    "layer": Entry.layer,
    "amount": Entry.amount,
    "currency": Entry.currency,
    "payment": Posting.subject,
    "source": Posting.source_id,
    "reverses": Posting.reverses,
}


def _source(
    query: Callable[[Sequence[Any], Running], Select[Any]], columns: dict[str, Any]
) -> tuple[list[str], Reader, Callable[[Tx, Running], int]]:
    key = columns["id"]

    def read(tx: Tx, job: Running, after: Any) -> Sequence[Row]:
        page = query([key.label("cursor"), *columns.values()], job).order_by(key).limit(PAGE)
        return tx.session.execute(page.where(key > after) if after is not None else page).all()

    def count(tx: Tx, job: Running) -> int:
        return int(tx.session.execute(query([func.count()], job)).scalar_one())

    return list(columns), read, count


_SOURCES: Final = {"payments": _source(_payments, _PAYMENT), "ledger_entries": _source(_entries, _ENTRY)}


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would run is shown as text; amounts are numbers and stay what they are."""
    if isinstance(value, datetime):
        return rfc3339(value)
    return harmless(value) if isinstance(value, str) else value
