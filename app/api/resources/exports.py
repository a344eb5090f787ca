"""Exports: payments or ledger entries as a file, written in the background."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field

from app.api.route import Answer, Body, Call, Listing, Resource, View
from app.jobs import exports, long_jobs
from app.jobs.exports import KIND, ROLES, ExportGone, ExportNotReady, export_view
from app.jobs.long_jobs import JobEnded, JobNotFound
from app.kit.database import Json

resource = Resource("Exports", "Many rows as one CSV file, written in the background.")


class ExportView(View):
    """`done` of `total` rows are written; `file` is where the file is once the export is completed."""

    id: str
    object: Literal["export"]
    what: Literal["payments", "ledger_entries"]
    created_from: datetime | None
    created_to: datetime
    status: Literal["queued", "running", "completed", "failed", "canceled"]
    done: int
    total: int | None
    error: str | None
    file: str | None
    requested_by: str
    created_at: datetime
    ended_at: datetime | None


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("lies outside the years 1 to 9999 in UTC") from None


Moment = Annotated[AwareDatetime, AfterValidator(_in_utc)]


class CreateExport(Body):
    what: Literal["payments", "ledger_entries"]
    created_from: Moment | None = Field(None, description="Only what was created then or later")
    created_to: Moment | None = Field(None, description="Only what was created earlier; by default now")


@resource.route(
    "POST",
    "/v1/exports",
    summary="Create an export",
    body=CreateExport,
    example={"what": "payments", "created_from": "2026-01-01T00:00:00Z"},
    response=ExportView,
    status=202,
    roles=ROLES,
)
def create_export(call: Call, body: CreateExport) -> Json:
    """A worker writes the file; get the export to see how far it has come."""
    return export_view(exports.request_export(call.tx, call.actor, body.what, body.created_from, body.created_to))


@resource.route(
    "GET", "/v1/exports", summary="List exports", query=Listing, response=ExportView, listed=True, roles=ROLES
)
def list_exports(call: Call, query: Listing) -> Json:
    """The newest first."""
    return exports.exports(call.tx, call.actor, query.limit, query.after).view(export_view)


@resource.route(
    "GET",
    "/v1/exports/{export}",
    summary="Get an export",
    response=ExportView,
    roles=ROLES,
    errors=(JobNotFound,),
)
def get_export(call: Call, export: str) -> Json:
    return export_view(long_jobs.find_job(call.tx, call.actor.merchant_id, KIND, export))


@resource.route(
    "POST",
    "/v1/exports/{export}/cancel",
    summary="Cancel an export",
    response=ExportView,
    status=202,
    roles=ROLES,
    errors=(JobNotFound, JobEnded),
)
def cancel_export(call: Call, export: str) -> Json:
    """One that is being written stops after the rows in hand; no file is kept."""
    return export_view(long_jobs.cancel_job(call.tx, call.actor, KIND, export))


@resource.route(
    "GET",
    "/v1/exports/{export}/file",
    summary="Download an export",
    media_type="text/csv",
    roles=ROLES,
    errors=(JobNotFound, ExportNotReady, ExportGone),
)
def download_export(call: Call, export: str) -> Answer:
    """The file, in UTF-8 with a line of column names; kept for a week."""
    job = long_jobs.find_job(call.tx, call.actor.merchant_id, KIND, export)
    return Answer(content=call.context.exports.file(job), media_type="text/csv; charset=utf-8")
