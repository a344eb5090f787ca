"""`python -m proof.torture KILLS=50 PAYMENTS=500 SEED=7`: ends with 1 and a sentence at the first broken promise."""

import os
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import click
import orjson
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from app.kit import log
from app.kit.database import Database, Json, Tx
from app.traffic.orders import orders
from app.traffic.shop import place
from proof.invariants import Books, Broken, always, at_rest, counted
from proof.options import options
from proof.relay import BREAKS
from proof.torture.operators import Operators
from proof.torture.plan import Plan
from proof.torture.stack import Stack
from proof.torture.traffic import Client, Receiver, Traffic, wait

#: For what is still under way when the last request was answered: leases, ladders, webhooks that come again.
QUIET_SECONDS: Final = 300
#: Between two looks at what no moment may break.
LOOK_SECONDS: Final = 60
#: No two kills follow each other faster.
PAUSE_SECONDS: Final = 0.15
_REPORT: Final = Path("var/torture.json")

# Timers of minutes and days go on ringing after a long run; what comes of them is quick.
_UNDER_WAY: Final = text("""
SELECT (SELECT count(*) FROM attempts WHERE state = 'begun' OR outcome IN ('unknown', 'pending')),
       (SELECT count(*) FROM instances WHERE status <> 'incident' AND due_at < now() + interval '2 seconds'),
       (SELECT count(*) FROM instances WHERE lease_owner IS NOT NULL),
       (SELECT count(*) FROM inbox JOIN instances i ON i.id = inbox.instance_id WHERE i.failures < 5),
       (SELECT count(*) FROM inbound_webhooks WHERE status NOT IN ('applied', 'ignored')),
       (SELECT count(*) FROM events WHERE drained_at IS NULL)
""")
_PENDING: Final = text("SELECT count(*) FROM deliveries WHERE status = 'pending'")
#: How long it takes at most until what a timer begins has ended.
_RINGING_SECONDS: Final = 20
#: A backlog of deliveries must have become smaller within this time.
_SHRINK_SECONDS: Final = 30
#: A worker that died with deliveries in its hands has left them for five minutes, and webhooks that came while their
#: gateway was dead are tried again after hours: this lets that time pass at once.
_LET_TIME_PASS: Final = (
    text("UPDATE deliveries SET due_at = now() WHERE status = 'pending'"),
    text("UPDATE inbound_webhooks SET due_at = now() WHERE due_at IS NOT NULL"),
)


class Torture:
    def __init__(self, stack: Stack, client: Client, receiver: Receiver) -> None:
        self._stack = stack
        self._plan = stack.plan
        self._client = client
        self._receiver = receiver
        self._random = Random(f"torture:{self._plan.seed}")
        self.killed: Counter[str] = Counter()
        self.sends: Counter[str] = Counter()
        self.resent = 0
        self.seconds = 0.0

    def run(self) -> list[Broken]:
        """Traffic and kills until both are done, quiet, and then every question."""
        begun = time.monotonic()
        traffic = Traffic(self._client, orders(self._plan.seed, self._plan.payments))
        operators = Operators(self._client)
        try:
            found = self._kill_while(traffic, begun)
            if found:
                return found  # whoever waits for the others to end may wait for ever
            found = self._look(begun)
        finally:
            operators.end()
            traffic.stop()
        found += [Broken("I4", "a story", sentence) for sentence in traffic.wrong]
        return found

    def _look(self, begun: float) -> list[Broken]:
        """Every question, once everything has come to rest."""
        self._stack.revive()
        self._stack.wait_for_web()
        database = self._stack.database()
        try:
            with database.begin() as tx:
                _let_time_pass(tx)
            quiet = wait(QUIET_SECONDS, lambda: _quiet(database, self._stack)) and _delivered(database)
            self.seconds = time.monotonic() - begun
            click.echo("", err=True)
            # A timer of minutes may have rung in between; what it began is over by the second look.
            found = lasting(lambda: self._unwritten() + self._at_rest(database), _RINGING_SECONDS)
        finally:
            database.close()
        found += [Broken("I4", name, "it ended by itself") for name in self._stack.ended_by_themselves]
        if not quiet and not found:
            found.append(Broken("I4", "the stack", f"it did not come to rest within {QUIET_SECONDS} seconds"))
        return found

    def _at_rest(self, database: Database) -> list[Broken]:
        told = [one for one in self._client.told if one.startswith("pay_")]
        with database.begin() as tx:
            found = list(at_rest(tx, self._books(), told))
            return found + self._undelivered(list(tx.session.scalars(text("SELECT id FROM events"))))

    def _kill_while(self, traffic: Traffic, begun: float) -> list[Broken]:
        """Kills while there is traffic; what no moment may break is looked at now and then, and ends it."""
        kills, payments = self._plan.kills, self._plan.payments
        victims = self._stack.victims
        kinds, weights = list(victims), list(victims.values())
        # Redis is killed seldom, and is to be missed for a while in the shortest run, too.
        first = [kind for kind in kinds if kind == "redis"]
        looked = time.monotonic()
        while not traffic.over:
            # Kills are spread over the payments, so that neither ends long before the other.
            wanted = min(kills, 1 + traffic.done * kills // payments)
            if self.killed.total() < wanted:
                kind = first.pop() if first else self._random.choices(kinds, weights)[0]
                victim = self._stack.kill(kind, self._random)
                self.killed[victim.partition("-")[0].partition("_")[0]] += bool(victim)
            time.sleep(PAUSE_SECONDS * self._random.uniform(0.3, 2))
            self._stack.revive()
            _progress(self.killed.total(), kills, traffic.done, payments, time.monotonic() - begun)
            if time.monotonic() - looked > LOOK_SECONDS:
                if found := self._broken_now():
                    return found
                looked = time.monotonic()
        click.echo("", err=True)
        return []

    def _broken_now(self) -> list[Broken]:
        """What two looks find broken. A refund that fails late, and is heard of between the reading of their books and
        of ours, looks like one of which we know nothing; the money that went twice is still gone a moment later.
        """
        return sorted(lasting(self._look_now, PAUSE_SECONDS), key=lambda broken: broken.promise)

    def _look_now(self) -> list[Broken]:
        """The books first and ours after them: what is in theirs must have been written by us before."""
        found = self._unwritten()
        books = self._books()
        database = self._stack.database()
        try:
            with database.begin() as tx:
                found += always(tx, books)
        except SQLAlchemyError:
            pass  # it has just been killed
        finally:
            database.close()
        return found

    def _books(self) -> Books:
        return {name: self._client.charges(name) for name in self._plan.ports}

    def _unwritten(self) -> list[Broken]:
        """Orders that left before their attempt was on disk."""
        written = self._plan.sends.read_text() if self._plan.sends.exists() else ""
        lines = [line.split() for line in written.splitlines()]
        self.sends = Counter(line[0] for line in lines)
        self.resent = sum(times > 1 for times in Counter(tuple(line[1:]) for line in lines).values())
        return [
            Broken("I5", key, f"{verb} was sent before its attempt was on disk")
            for seen, verb, key in lines
            if seen == "unwritten"
        ]

    def _undelivered(self, events: list[str]) -> list[Broken]:
        lost = [event for event in events if event not in self._receiver.events]
        return [Broken("I7", event, "it happened, and the merchant's endpoint was never told") for event in lost]


def lasting(look: Callable[[], list[Broken]], seconds: float) -> list[Broken]:
    """What is found broken by `look` and still is by another one `seconds` later."""
    found = look()
    if not found:
        return []
    time.sleep(seconds)
    again = look()
    return [one for one in found if one in again]


def _quiet(database: Database, stack: Stack) -> bool:
    stack.revive()
    try:
        with database.begin() as tx:
            left = tx.execute(_UNDER_WAY).one()
    except SQLAlchemyError:
        return False
    words = ("attempts", "due", "leased", "inbox", "webhooks", "events")
    click.echo(f"\rStill under way: {dict(zip(words, left, strict=True))}      ", err=True, nl=False)
    return not any(left)


def _delivered(database: Database) -> bool:
    """True when nothing waits for the merchant's endpoint any more; a backlog is waited for as long as it shrinks."""
    left: int | None = None
    while True:
        with database.begin() as tx:
            now_left = tx.execute(_PENDING).scalar_one()
            _let_time_pass(tx)
        click.echo(f"\rStill to deliver: {now_left}      ", err=True, nl=False)
        if not now_left or (left is not None and now_left >= left):
            return not now_left
        left = now_left
        wait(_SHRINK_SECONDS, partial(_none_pending, database))


def _let_time_pass(tx: Tx) -> None:
    for statement in _LET_TIME_PASS:
        tx.execute(statement)


def _none_pending(database: Database) -> bool:
    with database.begin() as tx:
        return not tx.execute(_PENDING).scalar_one()


def _progress(killed: int, kills: int, done: int, payments: int, seconds: float) -> None:
    filled = 30 * done // payments
    bar = "#" * filled + "-" * (30 - filled)
    click.echo(
        f"\r[{bar}] {killed}/{kills} kills, {done}/{payments} payments, {seconds:.0f} s, {done / seconds:.1f}/s ",
        err=True,
        nl=False,
    )


def main(plan: Plan) -> int:
    log.configure("CRITICAL")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that nothing is left running
    asked = f"KILLS={plan.kills} PAYMENTS={plan.payments} SEED={plan.seed} WORKERS={plan.workers}"
    click.echo(asked + (f" BREAK={plan.breaking}" if plan.breaking else ""))
    receiver = Receiver()
    stack = Stack(plan, redis=os.environ.get("REDIS", "0") != "0")
    try:
        client = Client(place(stack.start()))
        endpoint = {"url": receiver.url, "description": "The merchant's own"}
        client.post("/v1/webhook_endpoints", "endpoint", endpoint, "admin")
        torture = Torture(stack, client, receiver)
        found = torture.run()
        told = _report(torture, client, receiver, found)
    finally:
        stack.close()
        receiver.close()
    _REPORT.parent.mkdir(exist_ok=True)
    _REPORT.write_bytes(orjson.dumps({"seed": plan.seed, **told}, option=orjson.OPT_INDENT_2))
    for name, value in told.items():
        click.echo(f"{name:>24} {value}")
    for broken in found[:10]:
        click.echo(f"BROKEN {broken}")
    return int(bool(found))


def _report(torture: Torture, client: Client, receiver: Receiver, found: list[Broken]) -> Json:
    return {
        "kills": torture.killed.total(),
        "killed": dict(torture.killed),
        "payments": sum(one.startswith("pay_") for one in client.told),
        "refunds": sum(one.startswith("ref_") for one in client.told),
        "requests_sent": client.tally.sent,
        "requests_repeated": client.tally.repeated,
        "requests_replayed": client.tally.replayed,
        "orders_to_gateways": dict(torture.sends),
        "orders_sent_again": torture.resent,
        "events_received": len(receiver.events),
        "events_received_again": sum(times > 1 for times in receiver.events.values()),
        "seconds": round(torture.seconds),
        "broken": counted(found),
        "first": str(found[0]) if found else "",
    }


if __name__ == "__main__":
    given = options(kills=1000, payments=0, seed=secrets.randbelow(10**9), workers=3, **{"break": ""})
    if given["break"] not in BREAKS:
        raise click.UsageError(f"BREAK is one of {', '.join(filter(None, BREAKS))}")
    wanted = Plan(
        folder="",
        seed=int(given["seed"]),
        kills=int(given["kills"]),
        payments=int(given["payments"]) or 10 * int(given["kills"]),
        workers=int(given["workers"]),
        breaking=given["break"],
        database_url="",
        redis_url="",
        port=0,
        secret_key="",
        master_key="",
    )
    sys.exit(main(wanted))
