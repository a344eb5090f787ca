"""Migrations as people and systems give them: over HTTP and from the command line."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from app.access.actor import Role
from app.access.api_keys import create_key
from app.bootstrap import web_app
from app.cli import cli
from app.kit.database import Json
from tests.house import House
from tests.system.test_migration import COPY, LONGER, RENAMED, REVIEW, command, flagged, publish


def key(house: House, *roles: Role) -> str:
    with house.database.begin() as tx:
        return create_key(tx, house.system, "for a test", roles).secret


@pytest.fixture
def client(house: House) -> FlaskClient:
    return web_app(house.wired).test_client()


def post(client: FlaskClient, secret: str, path: str, body: Json | None = None) -> tuple[int, Json]:
    answer = client.post(path, json=body or {}, headers={"Authorization": f"Bearer {secret}"})
    return answer.status_code, answer.get_json()


def test_over_http_a_migration_is_looked_at_then_carried_out_then_undone(house: House, client: FlaskClient) -> None:
    payment_id = flagged(house)
    asked = command(house, publish(house, REVIEW, RENAMED))
    secret = key(house, Role.OPERATOR)
    body = {"from": asked.source, "to": asked.target, "mapping": {"review": "check"}}

    status, planned = post(client, secret, "/v1/migrations", body)
    assert (status, planned["id"], planned["status"], planned["counts"]) == (200, None, "planned", {"allowed": 1})
    assert (planned["from_version"], planned["to_version"]) == (1, 2)
    assert planned["moves"][0]["subject"] == payment_id
    assert house.task(payment_id).element == "review"

    status, begun = post(client, secret, "/v1/migrations", {**body, "dry_run": False})
    assert (status, begun["status"], begun["counts"]) == (202, "running", {"pending": 1})
    house.run()
    found = client.get(f"/v1/migrations/{begun['id']}", headers={"Authorization": f"Bearer {secret}"}).get_json()
    assert (found["status"], found["counts"]) == ("done", {"moved": 1})
    assert house.task(payment_id).element == "check"

    listing = client.get(
        "/v1/migrations?process=manual-review", headers={"Authorization": f"Bearer {secret}"}
    ).get_json()
    assert [(one["id"], one["status"], one["counts"]) for one in listing["data"]] == [
        (begun["id"], "done", {"moved": 1})
    ]
    assert "moves" not in listing["data"][0]

    status, undone = post(client, secret, f"/v1/migrations/{begun['id']}/undo")
    assert (status, undone["status"]) == (202, "running")
    house.run()
    assert house.task(payment_id).element == "review"
    status, refused = post(client, secret, f"/v1/migrations/{begun['id']}/undo")
    assert (status, refused["code"]) == (409, "already_undone")


def test_over_http_a_refusal_says_what_is_in_the_way_and_who_may_not_ask(house: House, client: FlaskClient) -> None:
    flagged(house)
    asked = command(house, publish(house, REVIEW, RENAMED))
    body = {"from": asked.source, "to": asked.target}
    assert post(client, key(house, Role.REVIEWER), "/v1/migrations", body)[0] == 403
    analyst = key(house, Role.ANALYST)
    status, planned = post(client, analyst, "/v1/migrations", body)
    assert (status, planned["moves"][0]["reasons"][0]["code"]) == (200, "no_counterpart")
    status, problem = post(client, analyst, "/v1/migrations", {**body, "dry_run": False})
    assert (status, problem["code"]) == (422, "invalid_input")
    assert problem["plan"]["counts"] == {"refused": 1}
    status, problem = post(client, analyst, "/v1/migrations", {**body, "mapping": {"review": "nowhere"}})
    assert (status, problem["errors"][0]["field"]) == (422, "mapping.review")


def test_from_the_command_line(house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    payment_id = flagged(house)
    asked = command(house, publish(house, REVIEW, [*COPY, *RENAMED, *LONGER]))
    monkeypatch.setenv("DATABASE_URL", house.database.url)
    monkeypatch.setenv("SLUICE_VAR", str(tmp_path))
    arguments = ["migrate-instances", asked.source, asked.target]

    def run(*more: str) -> str:
        result = CliRunner().invoke(cli, [*arguments, *more])
        assert result.exit_code == 0, result.output
        return result.output

    assert "1 refused" in run()
    shown = run("--map", "review=check")
    assert "manual-review version 1 -> 2, planned" in shown
    assert "1 allowed" in shown
    assert "/takes_long#1 is due at" in shown
    assert house.task(payment_id).element == "review"

    applied = run("--map", "review=check", "--apply")
    assert "1 moved" in applied
    assert house.task(payment_id).element == "check"

    arguments[1:] = []
    assert "1 undone" in run("--undo", applied.partition(":")[0])
    assert house.task(payment_id).element == "review"
    assert CliRunner().invoke(cli, ["migrate-instances", asked.source]).exit_code == 2
