"""A merchant with an administrator and a reviewer."""

from dataclasses import dataclass

import pytest

from app.access.actor import Actor, Role, system
from app.access.merchants import create_merchant
from app.access.users import NewUser, actor_of, create_user
from app.kit.database import Database

PASSWORD = "three green parrots"


@dataclass(frozen=True)
class Shop:
    merchant_id: str
    admin: Actor
    reviewer: Actor


@pytest.fixture
def shop(database: Database) -> Shop:
    with database.begin() as tx:
        merchant = create_merchant(tx, "Shop")
        boss = system(merchant.id)
        admin = create_user(tx, boss, NewUser("ada@shop.example", "Ada", frozenset({Role.ADMIN}), PASSWORD))
        reviewer = create_user(tx, boss, NewUser("rob@shop.example", "Rob", frozenset({Role.REVIEWER}), PASSWORD))
        return Shop(merchant.id, actor_of(admin), actor_of(reviewer))
