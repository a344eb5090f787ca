"""Pins that are worked out while somebody publishes."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import TextClause

from app.engine import definitions, pins
from app.kit.database import Database
from tests.engine.test_definitions import BEN, SYSTEM, M, child, deploy, store

assert store


def test_what_is_published_while_pins_are_worked_out_is_not_kept_as_what_was_published_before(store: Database) -> None:
    """One statement reads what is published, and another what that is: what comes in between is kept by its own ids."""
    with store.begin() as tx:
        first = deploy(tx, SYSTEM, child(), publish=True)[0].id
    with store.begin() as tx:
        column, later = tx.column, list[str]()

        def overtaken(statement: TextClause, parameters: Mapping[str, Any] | None = None) -> list[Any]:
            found = column(statement, parameters)
            with store.begin() as other:
                later.append(deploy(other, SYSTEM, child("=2"), publish=True)[0].id)
            return found

        tx.column = overtaken  # type: ignore[method-assign]
        pins.pins_for(tx, M, "child")
    with store.begin() as tx:
        assert pins.pins_for(tx, M, "child").definition_id == later[0]
        definitions.publish(tx, BEN, [first])
        assert pins.pins_for(tx, M, "child").definition_id == first
