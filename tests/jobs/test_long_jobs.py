"""Long work: progress, a way to stop it, and another worker when one dies. The first kind is the export."""

import csv
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry
from sqlalchemy import update

from app.access.actor import Role, system
from app.access.api_keys import create_key
from app.access.merchants import create_merchant
from app.bootstrap import web_app
from app.jobs import exports, long_jobs
from app.jobs.exports import Exports
from app.jobs.long_jobs import Interrupted, JobEnded, LongJobs, Running
from app.jobs.models import LongJob
from app.kit.database import Json
from app.payments.models import Payment
from tests.house import House
from tests.jobs.workers import working


class Steps:
    """Work of a hundred pieces that does `between` after the third."""

    name = "steps"

    def __init__(self) -> None:
        self.done = 0
        self.between = lambda _: None

    def work(self, job: Running) -> Json:
        for number in range(100):
            job.progress(number, 100)
            self.done = number
            if number == 3:
                self.between(job)
        return {"pieces": 100}


@pytest.fixture
def steps() -> Steps:
    return Steps()


def jobs(house: House, kind: Steps, owner: str = "worker-1", stopping: Event | None = None) -> LongJobs:
    return LongJobs(house.database, [kind], owner, stopping or Event())


def ask(house: House) -> str:
    with house.database.begin() as tx:
        return long_jobs.request_job(tx, house.shop, "steps", {}).id


def job_of(house: House, job_id: str) -> LongJob:
    with house.database.begin() as tx:
        return tx.session.get_one(LongJob, job_id)


def cancel(house: House, job_id: str) -> None:
    with house.database.begin() as tx:
        long_jobs.cancel_job(tx, house.shop, "steps", job_id)


def test_work_is_done_once_and_tells_how_far_it_is(house: House, steps: Steps) -> None:
    job_id = ask(house)
    seen: list[LongJob] = []
    steps.between = lambda _: seen.append(job_of(house, job_id))
    assert [jobs(house, steps).turn(), jobs(house, steps).turn()] == [1, 0]
    assert (seen[0].status, seen[0].done, seen[0].total) == ("running", 3, 100)
    ended = job_of(house, job_id)
    assert (ended.status, ended.result, ended.lease_owner) == ("completed", {"pieces": 100}, None)


def test_canceled_before_it_began_it_never_begins(house: House, steps: Steps) -> None:
    job_id = ask(house)
    cancel(house, job_id)
    assert jobs(house, steps).turn() == 0
    with pytest.raises(JobEnded):
        cancel(house, job_id)


def test_canceled_while_it_runs_it_stops_after_the_piece_in_hand(house: House, steps: Steps) -> None:
    job_id = ask(house)
    steps.between = lambda _: cancel(house, job_id)
    jobs(house, steps).turn()
    assert (job_of(house, job_id).status, steps.done) == ("canceled", 3)


def test_a_stopping_worker_gives_it_back_at_once(house: House, steps: Steps) -> None:
    job_id, stopping = ask(house), Event()
    steps.between = lambda _: stopping.set()
    jobs(house, steps, stopping=stopping).turn()
    assert (job_of(house, job_id).status, job_of(house, job_id).tries) == ("queued", 0)
    steps.between = lambda _: None
    jobs(house, steps, "worker-2").turn()
    assert job_of(house, job_id).status == "completed"


def test_a_dead_worker_s_job_goes_to_another_when_the_lease_is_over_and_the_dead_one_s_word_counts_no_more(
    house: House, steps: Steps
) -> None:
    job_id = ask(house)

    def sleep_through(stale: Running) -> None:
        steps.between = lambda _: None
        assert jobs(house, Steps(), "worker-2").turn() == 0
        house.clock.advance(timedelta(seconds=11))
        assert jobs(house, Steps(), "worker-2").turn() == 1
        with pytest.raises(Interrupted):
            stale.end("failed", error="late")

    steps.between = sleep_through
    jobs(house, steps).turn()
    assert (job_of(house, job_id).status, job_of(house, job_id).error, steps.done) == ("completed", None, 3)


def test_what_breaks_is_failed_with_a_reason_and_what_ends_workers_is_given_up(house: House, steps: Steps) -> None:
    broken = ask(house)
    steps.between = lambda _: {}["nothing"]
    jobs(house, steps).turn()
    assert (job_of(house, broken).status, job_of(house, broken).error) == ("failed", "It could not be done: KeyError")

    deadly = ask(house)
    with house.database.begin() as tx:
        tx.execute(update(LongJob).where(LongJob.id == deadly).values(tries=3))
    jobs(house, Steps()).turn()
    assert (job_of(house, deadly).status, job_of(house, deadly).error) == (
        "failed",
        "It was begun 3 times and never finished",
    )


# Exports over HTTP.


@pytest.fixture
def client(house: House, tmp_path: Path) -> Iterator[FlaskClient]:
    settings = house.wired.settings.model_copy(update={"var": tmp_path})
    house.wired = replace(house.wired, settings=settings, metrics=CollectorRegistry())
    with house.database.begin() as tx:
        key = create_key(tx, house.system, "shop", [Role.INTEGRATOR]).secret
    with web_app(house.wired).test_client() as client:
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
        yield client


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def done(client: FlaskClient, house: House, what: str) -> str:
    """The id of an export that a worker has written."""
    made = client.post("/v1/exports", json={"what": what})
    assert (made.status_code, made.json["status"]) == (202, "queued")
    export = str(made.json["id"])
    assert client.get(f"/v1/exports/{export}/file").status_code == 409
    LongJobs(house.database, [Exports(house.database, house.wired.settings.exports_folder)], "w", Event()).turn()
    return export


def test_payments_are_exported_without_those_of_others_and_without_formulas(
    client: FlaskClient, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PAGE", 2)
    payments = [
        house.pay(reference=reference)
        for reference in ("order-1", "=HYPERLINK(1)", "+1", "-1", "@x", "\uff1d1", "\n=1")
    ]
    with house.database.begin() as tx:
        create_merchant(tx, "Other", merchant_id="mer_other")
        tx.execute(update(Payment).where(Payment.id == payments[0]).values(merchant_id="mer_other"))
        other = create_key(tx, system("mer_other"), "other", [Role.INTEGRATOR]).secret
    export = done(client, house, "payments")
    shown = client.get(f"/v1/exports/{export}").json
    assert (shown["status"], shown["done"], shown["total"]) == ("completed", 6, 6)

    file = client.get(shown["file"])
    assert file.content_type == "text/csv; charset=utf-8"
    rows = table(file.get_data(as_text=True))
    assert [row["id"] for row in rows] == payments[1:]
    assert [row["reference"] for row in rows] == ["'=HYPERLINK(1)", "'+1", "'-1", "'@x", "'\uff1d1", "'\n=1"]
    assert {row["amount"] for row in rows} == {"1000"}
    foreign = {"Authorization": f"Bearer {other}"}
    for path in ("", "/file"):
        assert client.get(f"/v1/exports/{export}{path}", headers=foreign).status_code == 404
    assert client.get("/v1/exports", headers=foreign).json["data"] == []


@pytest.mark.parametrize("field", ["created_from", "created_to"])
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_moment_that_no_calendar_has_in_utc_is_named(client: FlaskClient, field: str, moment: str) -> None:
    refused = client.post("/v1/exports", json={"what": "payments", field: moment})
    assert (refused.status_code, refused.json["errors"][0]["field"]) == (422, field)


def test_ledger_entries_are_exported_with_signed_amounts_that_sum_to_zero(client: FlaskClient, house: House) -> None:
    payment = house.paid()
    rows = table(client.get(f"/v1/exports/{done(client, house, 'ledger_entries')}/file").get_data(as_text=True))
    assert {row["payment"] for row in rows} == {payment}
    amounts = [int(row["amount"]) for row in rows]
    assert sum(amounts) == 0
    assert min(amounts) < 0


def test_an_export_goes_through_a_worker_and_its_file_is_kept_for_a_week(client: FlaskClient, house: House) -> None:
    house.pay()
    export = client.post("/v1/exports", json={"what": "payments"}).json["id"]
    with working(house):
        house.eventually(lambda: client.get(f"/v1/exports/{export}").json["status"] == "completed", 30)
    assert client.get(f"/v1/exports/{export}/file").status_code == 200
    assert client.post(f"/v1/exports/{export}/cancel").status_code == 409
    kept = Exports(house.database, house.wired.settings.exports_folder)
    for days, status in ((6, 200), (2, 410)):
        house.clock.advance(timedelta(days=days))
        with house.database.begin() as tx:
            kept.purge(tx)
        assert client.get(f"/v1/exports/{export}/file").status_code == status


def test_an_export_can_be_canceled_and_leaves_no_file(client: FlaskClient, house: House) -> None:
    export = client.post("/v1/exports", json={"what": "payments"}).json["id"]
    assert client.post(f"/v1/exports/{export}/cancel").json["status"] == "canceled"
    assert client.get(f"/v1/exports/{export}/file").status_code == 409
    assert client.post("/v1/exports", json={"what": "secrets"}).status_code == 422
