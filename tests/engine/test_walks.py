"""Seeded walks: whatever happens to an instance in whatever order, it never breaks, never differs after a reload
(`Drive` compares after every step), and never rests without something that can move it on."""

import random
from datetime import timedelta

import pytest

from app.engine.step import Item, ItemKind, Wait, WaitKind
from tests.engine import test_events, test_gateways, test_many, test_scopes, test_service_tasks, test_traps
from tests.engine.diagrams import declared_message, message, timer
from tests.engine.drive import Drive

DIAGRAMS = {
    "parallel": (test_gateways.PARALLEL,),
    "inclusive": (test_gateways.INCLUSIVE,),
    "guarded": (test_service_tasks.GUARDED,),
    "race": (test_events.RACE,),
    "two waits": (test_events.TWO_WAITS,),
    "cycle": (test_events.bordered(timer("timeCycle", "R3/PT1H")),),
    "notes": (test_events.bordered(message("note"), declare=declared_message("note", "=id")),),
    "failing": (test_events.failing(),),
    "escalating": (test_events.escalating("false", ends=False),),
    "called": (test_scopes.PARENT, test_scopes.CHILD),
    "many": (test_many.PARALLEL,),
    "bordered many": (test_many.BORDERED,),
    "retrying": (test_traps.RETRYING,),
}


def happening(chance: random.Random, wait: Wait) -> Item:
    if wait.kind is WaitKind.CALL:
        kind = chance.choice([ItemKind.CALL_RESULT, ItemKind.CALL_RESULT, ItemKind.CALL_ERROR, ItemKind.CALL_FAILED])
        code = chance.choice(["DECLINED", "SOFT", "HARD", "X"])
        return Item(kind, wait.node, {"code": code, "message": "m", "facts": {}, "r": 1, "value": [1]})
    if wait.kind is WaitKind.TASK:
        return Item(ItemKind.TASK_COMPLETED, wait.node, {"decision": "approve"}, actor="usr_1")
    return Item(ItemKind.MESSAGE, wait.node, {"name": wait.message, "variables": {"n": 1}})


def one_step(chance: random.Random, drive: Drive) -> None:
    stale = Item(chance.choice(list(ItemKind)[:-1]), chance.choice(["a#1", "nobody#1", "c#1/work#1"]), {})
    choices = [happening(chance, wait) for wait in drive.step.waits if wait.kind is not WaitKind.TIMER]
    choices += [Item(ItemKind.RETRY, incident.node) for incident in drive.step.incidents]
    if chance.random() < 0.3 or not choices:
        drive.now += timedelta(minutes=chance.choice([1, 30, 90]))
    items = chance.sample(choices, k=min(len(choices), chance.choice([0, 1, 1, 2])))
    drive.advance(*items, *([stale] if chance.random() < 0.2 else []))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", DIAGRAMS)
def test_an_instance_survives_anything_and_always_shows_what_it_waits_for(name: str, seed: int) -> None:
    chance = random.Random(f"{name}{seed}")
    drive = Drive(*DIAGRAMS[name], items=[1, 2, 3], id="x", payment_id="p", x=2, m=1)
    for _ in range(40):
        if drive.step.status.ended:
            break
        assert drive.step.waits or drive.step.incidents
        one_step(chance, drive)
    drive.cancel()
    assert drive.step.status.ended
