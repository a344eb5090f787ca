"""What happens to a worker at work: its database crashes, is cut off or full, or it is itself put to sleep."""

import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import psutil
import psycopg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from app.access.actor import Actor, Role, system
from app.access.merchants import create_merchant
from app.engine import inbox, shipped
from app.engine.definitions import deploy
from app.engine.lint import Upload
from app.engine.store import LEASE
from app.kit.clock import ShiftedClock
from app.kit.crashpoint import Point, arm
from app.kit.database import Database
from app.kit.embedded import EmbeddedPostgres
from app.migrate import upgrade
from app.payments import service
from app.payments.commands import CreatePayment
from app.settings import ROOT
from tests.engine.lint.draw import bpmn, end, path, start
from tests.fixtures_sandbox import SandboxFactory, until
from tests.house import House, house_on
from tests.jobs.workers import Workers, workers, working
from tests.plugins.servers import server_folder
from tests.proxy import FaultProxy, Kind, fault_proxy

__all__ = ["workers"]
SOON = 90
TIMERS = 10_000
#: More than one worker needs.
CONNECTIONS = 24
OTHER = "mer_other"


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A server of the test's own, which may be hurt. It waits for the disk: what is committed must outlive a crash."""
    with server_folder() as folder:
        started = EmbeddedPostgres(folder)
        upgrade(started.start())
        yield started
        started.stop()


@pytest.fixture
def own_house(server: EmbeddedPostgres, clock: ShiftedClock, sandbox: SandboxFactory) -> Iterator[House]:
    database = Database(server.url(), shift=lambda: clock.shift)
    with house_on(database, clock, sandbox) as built:
        yield built
    database.close()


def postmaster(server: EmbeddedPostgres) -> psutil.Process:
    pid_file = server.data_dir / "cluster" / "postmaster.pid"
    return psutil.Process(int(pid_file.read_text().split("\n", 1)[0]))


def insist(house: House, method: str = "pm_card_visa") -> str:
    """A payment, however often the database has to be asked for it."""
    while True:
        try:
            return house.pay(method)
        except OperationalError:
            time.sleep(0.05)


def succeeded(house: House, payments: list[str]) -> bool:
    try:
        return all(house.payment(payment).status == "succeeded" for payment in payments)
    except OperationalError:
        return False


def check_charged_once(house: House, payments: list[str]) -> None:
    captured = Counter(charge["reference"] for charge in house.charges() if charge["captured"])
    assert {payment: captured[payment] for payment in payments} == dict.fromkeys(payments, 1)
    assert house.incidents() == []
    house.check_books()


@pytest.mark.timeout(300)
def test_a_postgresql_that_crashes_under_load_costs_time_and_nothing_else(
    own_house: House, server: EmbeddedPostgres
) -> None:
    payments: list[str] = []
    ended = threading.Event()

    def customers() -> None:
        while not ended.is_set():
            payments.append(insist(own_house))
            time.sleep(0.05)

    shop = threading.Thread(target=customers)
    with working(own_house):
        shop.start()
        for _ in range(3):
            reached = len(payments) + 5
            until(lambda reached=reached: len(payments) > reached, SOON)
            postmaster(server).kill()
            server.stop()
            server.start()
        ended.set()
        shop.join()
        until(lambda: succeeded(own_house, payments), SOON)
    check_charged_once(own_house, payments)


@contextmanager
def steps_cut(proxy: FaultProxy, kind: Kind, times: int) -> Iterator[None]:
    """The next `times` commits of steps are cut, too; claims and chores commit far more often than steps."""
    left = iter(range(times))

    def cut(passed: Point) -> None:
        if passed is Point.BEFORE_STEP_COMMIT and next(left, None) is not None:
            proxy.arm(kind, b"COMMIT")

    arm(cut)
    try:
        yield
    finally:
        arm(None)


@pytest.mark.parametrize("kind", [Kind.DROP, Kind.LOSE], ids=["after it took effect", "before it arrived"])
def test_a_connection_cut_inside_commit_is_looked_up_again_and_nothing_is_sent_blindly(
    house: House, kind: Kind
) -> None:
    url = make_url(house.database.url)
    with fault_proxy(str(url.query["host"]), url.port or 5432) as proxy:
        cut = url.set(host="127.0.0.1", port=proxy.port, query={"sslmode": "disable", "gssencmode": "disable"})
        payments = [house.pay(f"pm_card_{name}") for name in ("visa", "mastercard") * 6]
        proxy.arm(kind, b"COMMIT", times=12)
        with steps_cut(proxy, kind, 3), working(house, database_url=cut.render_as_string(hide_password=False)):
            until(lambda: succeeded(house, payments), SOON)
        assert proxy.struck >= 15
    check_charged_once(house, payments)
    sent = Counter[int]()
    for attempt in (one for payment in payments for one in house.attempts(payment)):
        sent[sum(sandbox.times_received(attempt.operation, attempt.id) for sandbox in house.sandboxes)] += 1
    assert sent == {1: 2 * len(payments)}, "what was sent before its intent was certain is sent again"


@contextmanager
def no_connection_left(url: str) -> Iterator[None]:
    """Somebody else has all the connections that the role may have."""
    with ExitStack() as taken:
        for _ in range(CONNECTIONS):
            taken.enter_context(psycopg.connect(url))
        with pytest.raises(psycopg.OperationalError, match="too many connections"):
            psycopg.connect(url)
        yield


def test_a_server_without_a_connection_left_costs_time_and_nothing_else(own_house: House) -> None:
    house = own_house
    with house.database.begin() as tx:
        tx.execute(text(f"CREATE ROLE many LOGIN CONNECTION LIMIT {CONNECTIONS}"))
        for kind in ("TABLES", "SEQUENCES", "FUNCTIONS"):
            tx.execute(text(f"GRANT ALL ON ALL {kind} IN SCHEMA public TO many"))
    url = make_url(house.database.url).set(username="many")
    payments = [house.pay() for _ in range(6)]
    with working(house, database_url=url.render_as_string(hide_password=False)):
        until(lambda: succeeded(house, payments), SOON)
    more = [house.pay() for _ in range(6)]
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with ExitStack() as crowd:
        crowd.enter_context(no_connection_left(plain))
        with working(house, database_url=url.render_as_string(hide_password=False)):
            time.sleep(3)
            assert [house.attempts(payment) for payment in more] == [[]] * len(more)
            crowd.close()
            until(lambda: succeeded(house, more), SOON)
    check_charged_once(house, [*payments, *more])


def test_a_lease_holder_that_is_stopped_and_wakes_up_later_changes_nothing(house: House, workers: Workers) -> None:
    house.a.fault("slow", "authorize", count=3)
    sleeper = workers.start()
    payments = [house.pay() for _ in range(3)]
    until(lambda: any(one.state == "begun" for payment in payments for one in house.attempts(payment)), SOON)
    sleeper.send_signal(signal.SIGSTOP)
    with working(house):
        until(lambda: succeeded(house, payments), SOON)
        journals = {payment: len(house.journal(payment)) for payment in payments}
        sleeper.send_signal(signal.SIGCONT)
        time.sleep(LEASE.total_seconds() / 2)
        assert {payment: len(house.journal(payment)) for payment in payments} == journals
    check_charged_once(house, payments)


@contextmanager
def full_disk(server: EmbeddedPostgres, size: int) -> Iterator[None]:
    """No file of the server can grow beyond `size` bytes: it is started with that limit, and in the end without it."""
    server.stop()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        server.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    try:
        yield
    finally:
        server.stop()
        server.start()


_FILLER = text("""
INSERT INTO journal_pages (instance_id, seq, at, lines)
SELECT :id, 1000000 + n, now(), '["filler"]' FROM generate_series(1, 250000) n
""")


@pytest.mark.timeout(300)
def test_a_full_disk_stops_work_before_anything_is_sent_and_loses_nothing(
    own_house: House, server: EmbeddedPostgres
) -> None:
    house = own_house
    payments = [house.pay() for _ in range(30)]
    with house.database.begin() as tx:
        # The table in which every step of a flow is written down becomes larger than a file may get.
        tx.execute(_FILLER, {"id": house.instance(payments[0]).id})
    with house.database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM journal_pages"))  # no empty page is left at its end
    with full_disk(server, 16 * 2**20), working(house):
        time.sleep(5)
        written = {attempt.id for payment in payments for attempt in house.attempts(payment)}
        assert {charge["key"] for charge in house.charges()} <= written, "what cannot be written is not sent"
        assert not succeeded(house, payments)
    house.database.close()  # its connections are those of the server before
    for incident in house.incidents():  # those that were tried too often meanwhile
        with house.database.begin() as tx:
            inbox.retry_incident(tx, house.person("omar", Role.OPERATOR), incident.id)
    with working(house):
        until(lambda: succeeded(house, payments), SOON)
    check_charged_once(house, payments)


# Ten thousand started one by one would take minutes: each of these is the one that was, but for its id and its time.
_COPY_INSTANCES = """
INSERT INTO instances SELECT (jsonb_populate_record(one, jsonb_build_object(
    'id', 'ins_' || lpad(n::text, 26, '0'), 'subject', 'ins_' || lpad(n::text, 26, '0'),
    'due_at', one.due_at + n * interval '1 hour' / :count
))).* FROM instances one, generate_series(1, :count - 1) n WHERE one.process = 'sleeper'
"""
_COPY_WAITS = """
INSERT INTO waits (instance_id, merchant_id, node, element, kind, due_at, message, correlation, created_at)
SELECT i.id, w.merchant_id, w.node, w.element, w.kind, i.due_at, w.message, w.correlation, w.created_at
FROM waits w, instances i WHERE w.instance_id = :first AND i.process = 'sleeper' AND i.id <> :first
"""


def wait(house: House, count: int) -> None:
    """`count` instances whose timers come due one after another within the next hour, in the order of their ids."""
    catch = (
        '<bpmn:intermediateCatchEvent id="wait">'
        '<bpmn:timerEventDefinition id="wait_timer">'
        "<bpmn:timeDuration>PT1S</bpmn:timeDuration>"
        "</bpmn:timerEventDefinition></bpmn:intermediateCatchEvent>"
    )
    diagram = bpmn(start(), catch, end(), path("start", "wait", "end"), process="sleeper")
    with house.database.begin() as tx:
        deploy(tx, system("mer_test"), [Upload("sleeper.bpmn", diagram)], publish=True)
        first = inbox.start_instance(tx, house.system, "sleeper", instance_id="ins_" + "0" * 26).id
    house.loop.turn()
    with house.database.begin() as tx:
        tx.execute(text(_COPY_INSTANCES), {"count": count})
        tx.execute(text(_COPY_WAITS), {"first": first})


def other_shop(house: House) -> Actor:
    with house.database.begin() as tx:
        create_merchant(tx, "Other", merchant_id=OTHER)
        shipped.deploy(tx, OTHER, ROOT / "workflows")
    return Actor("key_other", "Other", OTHER, frozenset({Role.INTEGRATOR}))


@pytest.mark.timeout(300)
def test_timers_that_came_due_while_nobody_worked_are_taken_oldest_first_and_hold_up_no_new_payment(
    house: House,
) -> None:
    shop = other_shop(house)
    wait(house, TIMERS)
    house.clock.advance(LEASE * 9600)  # a day
    for sandbox in house.sandboxes:
        sandbox.advance(days=1)
    with house.database.begin() as tx:
        command = CreatePayment(amount=1000, currency="EUR", payment_method="pm_card_visa")
        payments = [service.create_payment(tx, merchant, command).id for merchant in (shop, house.shop)]
    turns = 0
    while not succeeded(house, payments):
        turns += 1
        house.loop.turn()
        time.sleep(0.01)
        assert turns < 300
    left = _left(house)
    assert left > TIMERS / 2, "the payments did not wait for the timers, whosesoever they are"
    house.run(seconds=200)
    assert _left(house) == 0
    with house.database.begin() as tx:
        ended = "SELECT rank() OVER (ORDER BY id) FROM instances WHERE process = 'sleeper' ORDER BY ended_at, id"
        ranks = list(tx.session.scalars(text(ended)))
    # Within one turn all end at the same moment, so neighbours may change places by one batch.
    moved = [abs(place - rank) for place, rank in enumerate(ranks, 1)]
    assert max(moved) <= 2 * house.wired.settings.batch


def _left(house: House) -> int:
    with house.database.begin() as tx:
        counted = text("SELECT count(*) FROM instances WHERE process = 'sleeper' AND ended_at IS NULL")
        return int(tx.execute(counted).scalar_one())
