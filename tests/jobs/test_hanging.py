"""A PostgreSQL that keeps its connections and says nothing: everybody gives up, and comes back by themselves."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from app.bootstrap import web_app
from app.kit.database import Database
from app.kit.patience import PatientConnection
from tests.fixtures_sandbox import until
from tests.house import House
from tests.jobs.workers import working
from tests.proxy import FaultProxy, fault_proxy

SOON = timedelta(seconds=2)


@pytest.fixture
def proxy(database_url: str) -> Iterator[FaultProxy]:
    url = make_url(database_url)
    host = url.host or str(url.query["host"])
    with fault_proxy(host, url.port or 5432) as between:
        yield between


def through(proxy: FaultProxy, database_url: str) -> str:
    url = make_url(database_url).set(host="127.0.0.1", port=proxy.port, query={})
    return url.render_as_string(hide_password=False)


def test_a_worker_comes_back_when_postgresql_does(house: House, proxy: FaultProxy) -> None:
    url = through(proxy, house.database.url)
    # What is logged here would be drawn with every local variable, for seconds.
    with capture_logs(), working(house, database_url=url, patience=SOON):
        paid = house.pay()
        until(lambda: house.payment(paid).status == "succeeded", 30)
        proxy.blackhole = True
        waiting = house.pay()
        time.sleep(2)
        assert house.payment(waiting).status == "processing"
        proxy.blackhole = False
        until(lambda: house.payment(waiting).status == "succeeded", 40)
    house.check_books()


def test_a_web_process_answers_503_and_comes_back_when_postgresql_does(house: House, proxy: FaultProxy) -> None:
    database = Database(through(proxy, house.database.url), patience=SOON)
    web = web_app(replace(house.wired, database=database, metrics=CollectorRegistry())).test_client()
    assert web.get("/readyz").status_code == 200
    proxy.blackhole = True
    begun = time.monotonic()
    assert web.get("/readyz").status_code == 503
    assert web.get("/v1/payments", headers={"Authorization": "Bearer sk_x"}).status_code == 503
    assert time.monotonic() - begun < 25
    proxy.blackhole = False
    assert web.get("/readyz").status_code == 200
    database.close()


def test_a_statement_that_takes_too_long_is_ended_by_the_server_and_a_long_job_is_not(database_url: str) -> None:
    database = Database(database_url, patience=SOON)
    with pytest.raises(OperationalError, match="statement timeout"), database.begin() as tx:
        tx.execute(text("SELECT pg_sleep(5)"))
    with database.begin() as tx:
        tx.be_patient()
        tx.execute(text("SELECT pg_sleep(3)"))
    with database.begin() as tx:
        driver = tx.session.connection().connection.driver_connection
        assert isinstance(driver, PatientConnection)
        assert not driver.unhurried
        assert tx.execute(text("SHOW statement_timeout")).scalar_one() == "2s"
        assert tx.execute(text("SHOW idle_in_transaction_session_timeout")).scalar_one() == "1min"
    database.close()
