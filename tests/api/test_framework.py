import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from app.installation import hold
from tests.api.conftest import Api, things

JSON = "application/json"


def post(api: Api, body: str | bytes, key: str = "k", path: str = "/v1/things") -> tuple[int, dict[str, object]]:
    response = api.client.post(path, data=body, headers=api.headers(Idempotency_Key=key), content_type=JSON)
    return response.status_code, response.get_json()


def test_a_good_request_is_answered_and_traced(api: Api) -> None:
    response = api.client.post(
        "/v1/things", json={"amount": 5}, headers=api.headers(Idempotency_Key="k"), content_type=JSON
    )
    assert response.status_code == 201
    assert response.get_json() == {"id": "thi_5_", "amount": 5}
    assert response.headers["Request-Id"].startswith("req_")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Basic x"}, {"Authorization": "Bearer "}, {"Authorization": "Bearer sk_nobody"}]
)
def test_without_a_known_key_nothing_is_said_about_the_request(api: Api, headers: dict[str, str]) -> None:
    response = api.client.post("/v1/things", data="{", headers=headers, content_type=JSON)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.content_type == "application/problem+json"
    assert response.get_json()["code"] == "unauthenticated"


def test_a_wrong_role_is_told_which_one_is_needed(api: Api) -> None:
    response = api.client.get("/v1/things/x", headers=api.headers(api.powerless_key))
    assert response.status_code == 403
    assert response.get_json()["roles"] == ["integrator", "operator"]


def test_a_request_that_moves_money_needs_an_idempotency_key(api: Api) -> None:
    response = api.client.post("/v1/things", json={"amount": 5}, headers=api.headers())
    assert response.status_code == 400
    assert response.get_json()["code"] == "idempotency_key_required"


def test_every_problem_has_a_list_of_errors(api: Api) -> None:
    assert api.client.get("/v1/nothing").get_json()["errors"] == []


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        ('{"amount": 1, "amount": 2}', "amount", "duplicate_key"),
        ('{"amount": NaN}', "", "not_a_number"),
        ('{"amount": 1e999}', "", "number_too_large"),
        ('{"amount": 99999999999999999999999999}', "", "number_too_large"),
        ('{"amount": 10.0}', "amount", "int_type"),
        ('{"amount": "10"}', "amount", "int_type"),
        ('{"amount": true}', "amount", "int_type"),
        ('{"amount": 0}', "amount", "greater_than"),
        ("{}", "amount", "required"),
        ("", "amount", "required"),
        ('{"amount": 1, "colour": "red"}', "colour", "unknown_field"),
        ('{"amount": 1, "note": "a\\u0000b"}', "note", "nul"),
        ('{"amount": 1, "facts": {"deep": ["\\ud800"]}}', "facts.deep.0", "lone_surrogate"),
        ('{"amount": 1, "facts": {"a\\u0000": 1}}', "facts", "nul"),
        ('{"amount": 1, "facts": {"x": "4111 1111 1111 1111"}}', "facts.x", "card_number"),
        ('{"amount": 1, "facts": {"x": 4111111111111111}}', "facts.x", "card_number"),
        ('{"facts":' * 51 + "1" + "}" * 51, None, "too_deep"),
        ("[" * 100_000, "", "too_deep"),
    ],
)
def test_what_is_wrong_is_named_by_field_and_not_repeated(api: Api, body: str, field: str | None, code: str) -> None:
    status, problem = post(api, body)
    assert status == 422
    errors = problem["errors"]
    assert isinstance(errors, list)
    assert errors[0]["code"] == code
    assert field is None or errors[0]["field"] == field
    assert "4111" not in str(problem)


@pytest.mark.parametrize("number", [4111111111119, 1798761600123456, 4111111111111112, -4111111111111111])
def test_amounts_times_and_other_long_numbers_are_no_card_numbers(api: Api, number: int) -> None:
    assert post(api, f'{{"amount": 1, "facts": {{"x": {number}}}}}')[0] == 201


@pytest.mark.parametrize("body", ["{", "nonsense", b"\xff", '{"amount": 1} x'])
def test_what_is_not_json_is_malformed(api: Api, body: str | bytes) -> None:
    status, problem = post(api, body)
    assert (status, problem["code"]) == (400, "malformed_json")


def test_a_refused_request_does_not_use_up_its_key(api: Api) -> None:
    assert post(api, "{}", "again")[0] == 422
    assert post(api, '{"amount": 1, "note": "refuse"}', "again")[0] == 409
    assert post(api, '{"amount": 1}', "again")[0] == 201


def test_other_media_types_and_large_bodies_are_refused(api: Api) -> None:
    form = api.client.post("/v1/things", data={"amount": "1"}, headers=api.headers(Idempotency_Key="k"))
    assert (form.status_code, form.get_json()["code"]) == (415, "unsupported_media_type")
    status, problem = post(api, '{"amount": 1, "note": "' + "x" * 300_000 + '"}')
    assert (status, problem["code"]) == (413, "body_too_large")


def test_an_expected_failure_carries_what_the_caller_needs(api: Api) -> None:
    status, problem = post(api, '{"amount": 7, "note": "refuse"}')
    assert status == 409
    assert problem["type"] == "/problems/out_of_things"
    assert problem["title"] == "There are no things left"
    assert problem["last"] == "thi_7_"
    assert problem["trace_id"]


def test_a_bug_is_answered_without_its_insides_and_undone(api: Api) -> None:
    status, problem = post(api, '{"amount": 7, "note": "break"}')
    assert status == 500
    assert problem["code"] == "internal_error"
    assert "secret" not in str(problem)
    assert api.client.get("/v1/things/thi_7_", headers=api.headers()).status_code == 404


def test_an_unknown_address_is_a_problem_and_a_known_one_says_its_methods(api: Api) -> None:
    nowhere = api.client.get("/v1/nowhere")
    assert (nowhere.status_code, nowhere.content_type) == (404, "application/problem+json")
    wrong = api.client.delete("/v1/things/x")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "GET")


def test_a_route_without_parameters_refuses_one_by_name(api: Api) -> None:
    response = api.client.get("/v1/things/one?colour=red", headers=api.headers())
    assert (response.status_code, response.get_json()["errors"][0]["field"]) == (422, "colour")
    assert post(api, '{"amount": 5}', path="/v1/things?colour=red")[0] == 422


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "limit=1&limit=2", "colour=red", "after=%00"])
def test_a_wrong_query_is_named(api: Api, query: str) -> None:
    response = api.client.get(f"/v1/things?{query}", headers=api.headers())
    assert response.status_code == 422
    assert response.get_json()["errors"][0]["field"] == query.partition("=")[0]
    assert api.client.get("/v1/things?limit=200", headers=api.headers()).get_json()["limit"] == 200


@pytest.mark.parametrize("part", ["%00", "x" * 300, "%ff"])
def test_what_can_be_nobodys_id_is_not_found(api: Api, part: str) -> None:
    assert api.client.get(f"/v1/things/{part}", headers=api.headers()).status_code == 404


def test_files_come_as_the_body_or_as_a_form(api: Api) -> None:
    one = api.client.post("/v1/files?name=a.xml", data=b"<a/>", headers=api.headers(), content_type="application/xml")
    assert one.get_json() == {"files": [["a.xml", 4]]}
    form = {"a": (io.BytesIO(b"<a/>"), "a.xml"), "b": (io.BytesIO(b"<b></b>"), "b.xml")}
    several = api.client.post("/v1/files", data=form, headers=api.headers(), content_type="multipart/form-data")
    assert several.get_json() == {"files": [["a.xml", 4], ["b.xml", 7]]}
    large = api.client.post("/v1/files", data=b"x" * 1001, headers=api.headers(), content_type="application/xml")
    assert large.status_code == 413
    none = api.client.post("/v1/files", data=b"", headers=api.headers(), content_type="application/xml")
    assert none.get_json()["code"] == "file_required"
    other = api.client.post("/v1/files", data=b"x", headers=api.headers(), content_type="text/plain")
    assert other.status_code == 415


def test_no_transaction_is_open_while_a_body_is_read(api: Api) -> None:
    open_then = []

    class Slow(io.BytesIO):
        def readinto(self, buffer: Any, /) -> int:
            with api.database.begin() as tx:
                idle = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = :s")
                open_then.append(tx.execute(idle, {"s": "idle in transaction"}).scalar_one())
            return super().readinto(buffer)

    body = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.bpmn"\r\n\r\n<a/>\r\n--x--\r\n'
    sent = api.client.post(
        "/v1/files",
        headers=api.headers(),
        input_stream=Slow(body),
        content_length=len(body),
        content_type="multipart/form-data; boundary=x",
    )
    assert sent.get_json() == {"files": [["a.bpmn", 4]]}
    assert set(open_then) == {0}


def test_prefer_wait_answers_when_the_instance_rests(api: Api) -> None:
    def send(key: str, prefer: str) -> dict[str, object]:
        headers = api.headers(Idempotency_Key=key, Prefer=prefer)
        response = api.client.post("/v1/things", json={"amount": 5, "facts": {"n": key}}, headers=headers)
        body: dict[str, object] = response.get_json()
        return body

    assert send("a", "wait=3")["amount"] == 0
    assert send("b", "respond-async, wait=99")["amount"] == 0
    assert send("c", "wait=soon")["amount"] == 5
    assert api.waited == [("thi_5_a", 3), ("thi_5_b", 30)]
    assert send("a", "wait=3")["amount"] == 0, "a replay gives the answer the first request got"
    assert len(api.waited) == 2


def test_too_many_requests_with_one_key_are_held_back(build: Callable[..., Api]) -> None:
    api = build(things, rate_limit="3/minute")
    statuses = [api.client.get("/v1/things", headers=api.headers()).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    limited = api.client.get("/v1/things", headers=api.headers())
    assert limited.get_json()["code"] == "rate_limited"
    assert int(limited.headers["Retry-After"]) <= 61
    assert api.client.get("/v1/things", headers=api.headers(api.other_key)).status_code == 200


def test_web_processes_count_together_in_redis(build: Callable[..., Api], redis_url: str) -> None:
    one = build(things, rate_limit="3/minute", limits_redis=redis_url)
    other = build(things, rate_limit="3/minute", limits_redis=redis_url)
    statuses = [api.client.get("/v1/things", headers=one.headers()).status_code for api in (one, other, one, other)]
    assert statuses == [200, 200, 200, 429]


def test_a_redis_that_is_gone_stops_nothing(build: Callable[..., Api]) -> None:
    api = build(things, limits_redis="redis://127.0.0.1:1")
    assert [api.client.get("/v1/things", headers=api.headers()).status_code for _ in range(3)] == [200, 200, 200]


def test_health_and_numbers_need_no_key(api: Api) -> None:
    api.client.get("/v1/things/x", headers=api.headers())
    assert api.client.get("/healthz").get_json() == {"status": "ok"}
    assert api.client.get("/readyz").get_json() == {"status": "ok", "database": "ok", "sending": "ok"}
    with api.database.begin() as tx:
        hold(tx, "It was restored")
    ready = api.client.get("/readyz")
    assert (ready.status_code, ready.get_json()["status"], ready.get_json()["sending"]) == (200, "degraded", "held")
    assert "sluice recover" in ready.get_json()["reasons"][0]
    numbers = api.client.get("/metrics").get_data(as_text=True)
    assert 'sluice_http_requests_total{method="GET",route="/v1/things/<thing>",status="404"} 1.0' in numbers


def test_those_who_wait_leave_threads_to_those_who_do_not(build: Callable[..., Api]) -> None:
    entered, leave = Event(), Event()

    def wait(*_: object) -> None:
        entered.set()
        assert leave.wait(10)

    api = build(things, wait_until_rest=wait, waiting=1)

    def make(amount: int) -> TestResponse:
        headers = api.headers(Idempotency_Key=str(amount), Prefer="wait=9")
        return api.client.application.test_client().post("/v1/things", json={"amount": amount}, headers=headers)

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(make, 1)
        assert entered.wait(10)
        second = make(2)
        leave.set()
    assert (second.status_code, "Preference-Applied" in second.headers) == (201, False)
    assert (first.result().status_code, first.result().headers["Preference-Applied"]) == (201, "wait")
