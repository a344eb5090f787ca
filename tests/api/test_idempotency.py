import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from io import BytesIO
from threading import Barrier, Event

import pytest
from sqlalchemy import func, insert, select, text, update

from app.access.actor import Role
from app.access.models import Merchant
from app.api import idempotency
from app.api.idempotency import Claim, Idempotency, Scope, Stored
from app.api.models import IdempotencyKey
from app.api.route import Call, Listing, Resource
from app.errors import Conflict
from app.kit.clock import ShiftedClock
from app.kit.database import Json
from tests.api.conftest import Api, sealer, things

LOCK = "pg_try_advisory_xact_lock"


def make(api: Api, key: str, body: dict[str, object] | None = None, secret: str | None = None):  # noqa: ANN201
    headers = api.headers(secret, Idempotency_Key=key)
    return api.client.application.test_client().post("/v1/things", json=body or {"amount": 5}, headers=headers)


def things_made(api: Api) -> int:
    with api.database.begin() as tx:
        return tx.session.scalar(select(func.count()).where(Merchant.id.like("thi_%"))) or 0


def test_the_same_request_is_answered_the_same_and_marked(api: Api) -> None:
    first = make(api, "k", {"amount": 5, "note": "n"})
    again = make(api, '"k"', {"note": "n", "amount": 5})
    assert (again.status_code, again.data) == (first.status_code, first.data) == (201, first.data)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert things_made(api) == 1


def test_another_body_under_the_same_key_is_refused(api: Api) -> None:
    make(api, "k")
    other = make(api, "k", {"amount": 6})
    assert (other.status_code, other.get_json()["code"]) == (422, "idempotency_key_reused")
    assert things_made(api) == 1


def test_another_query_under_the_same_key_is_refused(build: Callable[..., Api]) -> None:
    doors = Resource("Doors", "Doors that tests open.")

    @doors.route("POST", "/v1/doors", summary="Open a door", query=Listing, roles=(Role.OPERATOR,))
    def open_door(call: Call, query: Listing) -> Json:
        assert call.actor
        return {"limit": query.limit}

    api = build(doors)
    headers = api.headers(Idempotency_Key="k")
    first, again, other = (
        api.client.post(f"/v1/doors?{query}", headers=headers) for query in ("limit=5", "limit=05", "limit=6")
    )
    assert (first.status_code, again.data) == (200, first.data)
    assert (other.status_code, other.get_json()["code"]) == (422, "idempotency_key_reused")


def test_keys_of_two_merchants_are_two_keys(api: Api) -> None:
    make(api, "k", {"amount": 1})
    other = make(api, "k", {"amount": 2}, api.other_key)
    assert other.status_code == 201
    assert "Idempotent-Replayed" not in other.headers


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "caf\u00e9", '""'])
def test_a_key_that_is_no_key_is_refused(api: Api, key: str) -> None:
    response = make(api, key)
    assert (response.status_code, response.get_json()["code"]) == (400, "idempotency_key_invalid")


def test_twenty_equal_requests_at_once_do_the_work_once_and_get_one_answer(api: Api) -> None:
    together = Barrier(20)

    def send() -> tuple[int, bytes, bool]:
        together.wait()
        response = make(api, "k", {"amount": 5, "facts": {"seconds": 0.3}})
        return response.status_code, response.data, "Idempotent-Replayed" in response.headers

    with ThreadPoolExecutor(20) as pool:
        answers = [future.result() for future in [pool.submit(send) for _ in range(20)]]
    assert {(status, body) for status, body, _ in answers} == {(201, b'{"id":"thi_5_","amount":5}')}
    assert sorted(replayed for _, _, replayed in answers) == [False] + [True] * 19
    assert things_made(api) == 1


def test_a_request_that_takes_long_is_told_to_come_back(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "PATIENCE_SECONDS", 0.2)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(make, api, "k", {"amount": 5, "facts": {"seconds": 1}})
        wait_for_claim(api)
        busy = make(api, "k", {"amount": 5, "facts": {"seconds": 1}})
        assert first.result().status_code == 201
    assert (busy.status_code, busy.get_json()["code"]) == (409, "idempotency_in_progress")
    assert busy.headers["Retry-After"] == "1"


def test_a_crash_before_the_answer_leaves_nothing_and_the_key_free(api: Api) -> None:
    with pytest.raises(SystemExit):
        make(api, "k", {"amount": 5, "note": "die"})
    with api.database.begin() as tx:
        assert tx.session.scalars(select(IdempotencyKey.status)).all() == []
    assert things_made(api) == 0
    assert make(api, "k").status_code == 201


def test_what_broke_under_a_key_is_tried_again_at_once(api: Api) -> None:
    assert make(api, "k", {"amount": 5, "note": "refuse"}).status_code == 409
    assert make(api, "k", {"amount": 5}).status_code == 201
    assert things_made(api) == 1


def test_of_two_at_work_under_one_key_one_is_undone_and_gives_the_other_ones_answer(api: Api) -> None:
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(make, api, "k", {"amount": 5, "facts": {"seconds": 1, "n": "slow"}})
        wait_for_claim(api)
        # As if the lock had not been seen: another process has answered meanwhile.
        with api.database.begin() as tx:
            keys = Idempotency(sealer())
            sent = {"amount": 5, "facts": {"seconds": 1, "n": "slow"}}
            scope = Scope(api.merchant_id, "POST /v1/things", "k", idempotency.fingerprint("/v1/things", sent))
            keys.complete(tx, Claim(scope), Stored(201, "application/json", b'{"id":"thi_other"}'))
        answer = slow.result()
    assert (answer.status_code, answer.get_json()) == (201, {"id": "thi_other"})
    assert answer.headers["Idempotent-Replayed"] == "true"
    assert things_made(api) == 0


def test_a_repetition_that_comes_while_the_first_one_ends_is_not_refused_for_what_that_one_did(
    build: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a second capture is: nothing is left for it, and only the first one's answer tells that it took effect."""
    doors = Resource("Doors", "Doors that tests open.")

    @doors.route("POST", "/v1/doors", summary="Open a door", roles=(Role.OPERATOR,))
    def open_door(call: Call) -> Json:
        if call.tx.session.get(Merchant, "door") is not None:
            raise Conflict("The door is open already")
        call.tx.session.add(Merchant(id="door", name="Door", settings={}, created_at=call.tx.now()))
        return {"opened": True}

    api = build(doors)

    def send() -> tuple[int, Json]:
        application = api.client.application.test_client()
        answer = application.post("/v1/doors", headers=api.headers(Idempotency_Key="k"))
        return answer.status_code, answer.get_json()

    locks = {name: str(one) for name, one in vars(idempotency).items() if LOCK in str(one)}
    ((name, lock),) = locks.items()
    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as slow:
        # What the statement sees of the tables it has seen before it gets the lock.
        slow.setattr(idempotency, name, text(lock.replace(LOCK, f"(SELECT pg_sleep(0.5) IS NOT NULL) AND {LOCK}")))
        second = pool.submit(send)
        until_asleep(api)
        slow.undo()
        assert send() == second.result() == (200, {"opened": True})


def test_an_upload_that_waits_for_its_equal_is_the_same_upload_when_it_is_tried_again(api: Api) -> None:
    def send() -> tuple[int, bytes]:
        form = {"file": (BytesIO(b"<a/>"), "a.xml")}
        application = api.client.application.test_client()
        answer = application.post("/v1/files", data=form, headers=api.headers(Idempotency_Key="k"))
        return answer.status_code, answer.data

    with api.database.begin() as tx, ThreadPoolExecutor(1) as pool:
        place = f"idempotency_keys/{api.merchant_id}/POST /v1/files/k"
        tx.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:place, 0))"), {"place": place})
        waiting = pool.submit(send)
        tx.execute(text("SELECT pg_sleep(0.3)"))
        assert not waiting.done()
        tx.session.rollback()
        first = waiting.result()
    assert first == send() == (200, b'{"files":[["a.xml",4]]}')


def test_an_answer_the_former_version_gives_at_the_last_moment_is_kept(api: Api, clock: ShiftedClock) -> None:
    mark = idempotency.fingerprint("/v1/things", {"amount": 5})
    row = {"merchant_id": api.merchant_id, "route": "POST /v1/things", "key": "k", "fingerprint": mark}
    with api.database.begin() as tx:
        lease = {"created_at": tx.now(), "locked_until": tx.now() - timedelta(seconds=1)}
        tx.execute(insert(IdempotencyKey).values(**row, **lease))
    with ThreadPoolExecutor(1) as pool, api.database.begin() as tx:
        place = f"idempotency_keys/{api.merchant_id}/POST /v1/things/k"
        sealed = sealer().seal(b'{"id":"thi_former"}', place).encode()
        answer = {"status": 201, "headers": {"Content-Type": "application/json"}, "body": sealed, "locked_until": None}
        tx.execute(update(IdempotencyKey).values(**answer))
        other = pool.submit(make, api, "k")
        tx.execute(text("SELECT pg_sleep(0.3)"))
        tx.session.commit()
        assert other.result().get_json() == {"id": "thi_former"}
    assert things_made(api) == 0


def test_a_claim_of_the_former_version_is_waited_for_and_then_taken_over(
    api: Api, clock: ShiftedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "PATIENCE_SECONDS", 0.1)
    with api.database.begin() as tx:
        mark = idempotency.fingerprint("/v1/things", {"amount": 5})
        row = {"merchant_id": api.merchant_id, "route": "POST /v1/things", "key": "k", "fingerprint": mark}
        lease = {"created_at": tx.now(), "locked_until": tx.now() + timedelta(seconds=20)}
        tx.execute(insert(IdempotencyKey).values(**row, **lease))
    assert make(api, "k").status_code == 409
    clock.advance(timedelta(seconds=21))
    assert make(api, "k").status_code == 201
    assert things_made(api) == 1


def test_a_stored_answer_cannot_be_read_from_the_table(api: Api) -> None:
    make(api, "k")
    with api.database.begin() as tx:
        row = tx.session.scalars(select(IdempotencyKey)).one()
    assert row.body is not None
    assert b"thi_5_" not in row.body


def test_keys_are_kept_for_at_least_seven_days(api: Api, clock: ShiftedClock, build: Callable[..., Api]) -> None:
    make(api, "k")
    for days, left in ((7, 1), (2, 0)):
        clock.advance(timedelta(days=days))
        with api.database.begin() as tx:
            idempotency.purge(tx)
            assert tx.execute(text("SELECT count(*) FROM idempotency_keys")).scalar_one() == left


def wait_for_claim(api: Api) -> None:
    """Until somebody works under a key, or has."""
    locks = text("""
        SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
        WHERE locktype = 'advisory' AND datname = current_database()
    """)
    for _ in range(200):
        with api.database.begin() as tx:
            answered = tx.session.scalar(select(func.count()).select_from(IdempotencyKey))
            if answered or tx.execute(locks).scalar_one():
                return
            tx.execute(text("SELECT pg_sleep(0.01)"))
    raise AssertionError("the first request never claimed its key")


def until_asleep(api: Api) -> None:
    """Until PostgreSQL is in the midst of a statement that sleeps."""
    asleep = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'")
    for _ in range(200):
        with api.database.begin() as tx:
            if tx.execute(asleep).scalar_one():
                return
        time.sleep(0.01)
    raise AssertionError("the request never asked for its lock")


def test_a_replay_waits_for_the_answer_the_first_request_waits_for(
    build: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    resting = Event()
    api = build(things, wait_until_rest=lambda _instance, seconds: resting.wait(seconds))

    def send() -> tuple[bytes, bool]:
        headers = api.headers(Idempotency_Key="k", Prefer="wait=5")
        response = api.client.application.test_client().post("/v1/things", json={"amount": 5}, headers=headers)
        return response.data, "Idempotent-Replayed" in response.headers

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(send)
        wait_for_claim(api)
        second = pool.submit(send)
        resting.set()
        answers = {first.result(), second.result()}
    assert answers == {(b'{"id":"thi_5_","amount":0}', False), (b'{"id":"thi_5_","amount":0}', True)}


def test_a_replay_that_cannot_wait_longer_gets_the_early_answer(
    build: Callable[..., Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "PATIENCE_SECONDS", 0.3)
    resting = Event()
    api = build(things, wait_until_rest=lambda _instance, seconds: resting.wait(seconds))
    with ThreadPoolExecutor(1) as pool:
        headers = api.headers(Idempotency_Key="k", Prefer="wait=5")
        application = api.client.application.test_client()
        first = pool.submit(application.post, "/v1/things", json={"amount": 5}, headers=headers)
        wait_for_claim(api)
        second = make(api, "k")
        resting.set()
        assert first.result().get_json()["amount"] == 0
    assert (second.status_code, second.get_json()["amount"]) == (201, 5)
