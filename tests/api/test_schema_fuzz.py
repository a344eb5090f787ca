"""Requests made up from our own OpenAPI, good ones and bad ones: none breaks anything, each answer is as described."""

from typing import Any, Final

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app.access.actor import Role
from app.access.api_keys import create_token
from app.access.models import User
from app.bootstrap import web_app
from tests.fixtures_sandbox import sandbox
from tests.house import House, house

__all__ = ["house", "sandbox"]
CHECKS: Final = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
#: Requests of each kind for each route.
EXAMPLES: Final = 5


def token(house: House) -> str:
    """Of a person who may do everything."""
    person = house.person("ada", *Role)
    with house.database.begin() as tx:
        return create_token(tx, tx.session.get_one(User, person.id), "fuzz").secret


def wrong(operation: Any, mode: GenerationMode, headers: dict[str, str]) -> list[str]:
    """What is wrong with the answers to made-up requests for one operation."""

    @given(operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    def ask(case: Any) -> None:
        case.call_and_validate(checks=CHECKS, headers=headers)

    try:
        ask()
    except FailureGroup as failures:
        return [f"{operation.label} ({mode.value}): {failure}" for failure in failures.exceptions]
    return []


def test_no_made_up_request_breaks_the_api_and_every_answer_is_as_described(house: House) -> None:
    headers = {"Authorization": f"Bearer {token(house)}"}
    house.refund(house.paid(), 100)
    house.pay("pm_card_high_risk")
    house.run()
    schema = schemathesis.openapi.from_wsgi("/openapi.json", web_app(house.wired))
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 50
    found = [
        problem
        for operation in operations
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        for problem in wrong(operation, mode, headers)
    ]
    assert not found, "\n".join(found)
