"""A small API of its own, to see what the framework does for any route, and two merchants with keys."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from pydantic import Field
from sqlalchemy import text

from app.access.actor import Role, system
from app.access.api_keys import create_key
from app.access.merchants import create_merchant
from app.api.context import ApiContext
from app.api.route import Answer, Body, Call, File, Listing, Resource, Rest, Upload, View
from app.api.server import create_api
from app.errors import Conflict, NotFound
from app.events.endpoints import Endpoints
from app.events.webhooks import Webhooks
from app.jobs.exports import Exports
from app.kit.database import Database, Json
from app.kit.http import HttpClient
from app.kit.sealing import Sealer

ROLES = (Role.INTEGRATOR, Role.OPERATOR)


class MakeThing(Body):
    amount: int = Field(gt=0)
    note: str = ""
    facts: dict[str, object] = Field(default_factory=dict)


class ThingView(View):
    id: str
    amount: int


class OutOfThings(Conflict):
    code = "out_of_things"
    title = "There are no things left"


things = Resource("Things", "Things that tests make.")


@things.route(
    "POST",
    "/v1/things",
    summary="Make a thing",
    body=MakeThing,
    response=ThingView,
    status=201,
    roles=ROLES,
    needs_key=True,
    waits=True,
    errors=(OutOfThings,),
)
def make_thing(call: Call, body: MakeThing) -> Answer:
    """Makes a thing."""
    call.tx.execute(text("SELECT pg_sleep(:s)"), {"s": body.facts.get("seconds", 0)})
    made = call.tx.execute(
        text("INSERT INTO merchants (id, name, settings, created_at) VALUES (:id, :name, '{}', now()) RETURNING id"),
        {"id": f"thi_{body.amount}_{body.facts.get('n', '')}", "name": call.actor.merchant_id},
    ).scalar_one()
    if body.note == "refuse":
        raise OutOfThings("The last one is gone", extra={"last": made})
    if body.note == "break":
        raise RuntimeError("the secret of the house")
    if body.note == "die":
        raise SystemExit
    return Answer({"id": made, "amount": body.amount}, rest=Rest(made, lambda _: {"id": made, "amount": 0}))


@things.route("GET", "/v1/things/{thing}", summary="Get a thing", response=ThingView, roles=ROLES)
def get_thing(call: Call, thing: str) -> Json:
    found = call.tx.execute(
        text("SELECT id FROM merchants WHERE id = :id AND name = :m"), {"id": thing, "m": call.actor.merchant_id}
    ).scalar()
    if found is None:
        raise NotFound
    return {"id": found, "amount": 1}


@things.route("GET", "/v1/things", summary="List things", query=Listing, response=ThingView, listed=True, roles=ROLES)
def list_things(call: Call, query: Listing) -> Json:
    return {"object": "list", "data": [], "has_more": False, "next": None, "limit": query.limit}


@things.route(
    "POST",
    "/v1/files",
    summary="Send files",
    body=Upload(("application/xml",), 1000, "A file."),
    roles=ROLES,
)
def send_files(call: Call, files: list[File]) -> Json:
    return {"files": [[file.name, len(file.content)] for file in files]}


@dataclass
class Api:
    """A client of the API with the keys of two merchants, and what it was told to wait for."""

    client: FlaskClient
    database: Database
    key: str
    other_key: str
    powerless_key: str
    merchant_id: str
    other_merchant_id: str
    waited: list[tuple[str, float]] = field(default_factory=list)

    def headers(self, key: str | None = None, **more: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {key or self.key}", **{k.replace("_", "-"): v for k, v in more.items()}}


def sealer() -> Sealer:
    return Sealer({"test": bytes(32)}, "test")


@pytest.fixture
def client() -> Iterator[HttpClient]:
    made = HttpClient(connect_seconds=1, total_seconds=2)
    yield made
    made.close()


@pytest.fixture
def build(database: Database, client: HttpClient, tmp_path: Path) -> Callable[..., Api]:
    """Build an API over the given resources, with fields of the context replaced."""

    endpoints = Endpoints(sealer())

    def make(*resources: Resource, **changes: object) -> Api:
        waited: list[tuple[str, float]] = []
        context = ApiContext(
            database=database,
            sealer=sealer(),
            wait_until_rest=lambda instance_id, seconds: waited.append((instance_id, seconds)),
            receive_webhook=lambda *_: None,
            endpoints=endpoints,
            webhooks=Webhooks(endpoints, client),
            exports=Exports(database, tmp_path),
        )
        context = replace(context, **changes)  # type: ignore[arg-type]
        app = Flask("api-under-test")
        app.register_blueprint(create_api(context, resources))
        with database.begin() as tx:
            mine, other = create_merchant(tx, "Mine"), create_merchant(tx, "Other")
            return Api(
                client=app.test_client(),
                database=database,
                key=create_key(tx, system(mine.id), "mine", ROLES).secret,
                other_key=create_key(tx, system(other.id), "other", list(Role)).secret,
                powerless_key=create_key(tx, system(mine.id), "powerless", []).secret,
                merchant_id=mine.id,
                other_merchant_id=other.id,
                waited=waited,
            )

    return make


@pytest.fixture
def api(build: Callable[..., Api]) -> Api:
    return build(things)
