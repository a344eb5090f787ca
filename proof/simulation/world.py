"""The world of the simulation: it decides, by its seed alone, who moves next and what goes wrong."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import orjson
import psycopg
from sqlalchemy.exc import OperationalError

from app.access.actor import Actor, Role
from app.access.merchants import create_merchant
from app.bootstrap import Wired
from app.engine import shipped
from app.gateways.registry import Registry as Gateways
from app.kit import crashpoint, ids
from app.kit.crashpoint import Point
from app.kit.crypto import signed_headers
from app.kit.pulse import Pulse
from app.kit.sealing import Sealer
from app.operations import registry
from app.payments import webhooks
from app.sandbox.views import every_charge
from app.settings import ROOT, Settings
from proof.invariants import Books, Broken, always, at_rest
from proof.relay import relayed, without_write_ahead
from proof.simulation.bank import Bank, Weather
from proof.simulation.crew import Crash, SimWorker
from proof.simulation.due import INSTANCES, due
from proof.simulation.people import People
from proof.simulation.shop import Shop
from proof.simulation.storage import ShakyDatabase
from proof.simulation.timeline import Timeline

MERCHANT: Final = "mer_simulation"
#: Orders of one moment on average; together with the moment's length they make some two hundred and fifty a second.
ORDERS: Final = 100
BATCH: Final = 64
#: How often a worker looks although nothing is due.
IN_VAIN: Final = 0.02
#: Of a thousand times that a named seam is reached.
CRASHES: Final = 4
FAILURES: Final = 2
#: The longest wait of any flow is eighteen days; nothing may be open for much longer.
HORIZON: Final = timedelta(days=60)


class World:
    """`breaking` is one of `proof.relay.BREAKS`."""

    def __init__(self, url: str, seed: int, folder: Path, workers: int = 3, breaking: str = "") -> None:
        self.seed = seed
        self.random = Random(f"world:{seed}")
        self.timeline = Timeline(seed)
        self.tally = Counter[str]()
        self.broken: list[Broken] = []
        ids.draw_from(self.timeline)
        crashpoint.arm(self._reach)
        self._dangerous = False
        self.database = ShakyDatabase(url, self.timeline, Random(f"storage:{seed}"))
        self._witness = psycopg.connect(url.replace("+psycopg", "", 1), autocommit=True)
        self.weather = Weather(Random(f"weather:{seed}"), set())
        self.banks = {
            name: Bank(name, folder, self.timeline, self.weather, self._check_written, heeds_keys=heeds)
            for name, heeds in (("sandbox_a", True), ("sandbox_b", False))
        }
        adapters = [bank.gateway for bank in self.banks.values()]
        gateways = Gateways(relayed(adapters, breaking))
        operations = without_write_ahead(registry) if breaking == "no-write-ahead" else registry
        settings = Settings(database_url=url, batch=BATCH)
        sealer = Sealer({"s": b"s" * 32}, "s")
        self.wired = Wired(settings, self.database, operations, gateways, Pulse(self.timeline.moment), sealer)
        with self.database.begin() as tx:
            create_merchant(tx, "Simulation", merchant_id=MERCHANT)
            shipped.deploy(tx, MERCHANT, ROOT / "workflows")
        actor = Actor("key_simulation", "Shop", MERCHANT, frozenset({Role.INTEGRATOR}))
        self.shop = Shop(self.database, self.timeline, Random(f"shop:{seed}"), actor, self.banks)
        self.people = People(self.database, MERCHANT, self.banks, Random(f"people:{seed}"))
        self.workers = [
            SimWorker(number, self.wired, self.timeline, self.weather, Random(f"worker:{seed}:{number}"))
            for number in range(1, workers + 1)
        ]

    def close(self) -> None:
        crashpoint.arm(None)
        ids.draw_from(None)
        for bank in self.banks.values():
            bank.close()
        self._witness.close()
        self.database.close()

    def run(self, payments: int, told: Callable[[int], None] = lambda _: None) -> None:
        """Orders come in, and everything goes on until nothing is under way; `told` hears after each moment how many
        were ordered.
        """
        ordered = 0
        while ordered < payments:
            orders = min(self.random.randrange(2 * ORDERS), payments - ordered)
            ordered += orders
            self.tick(orders)
            told(ordered)
        self.drain(partial(told, ordered))

    def tick(self, orders: int = 0) -> int:
        """One moment of the world; how much was done in it."""
        self.tally["ticks"] += 1
        for _ in range(orders):
            self.shop.order()
        busy = orders
        kinds = self._due_kinds()
        present = [worker for worker in self.workers if worker.present]
        self.random.shuffle(present)
        for worker in present[: self.random.randrange(1, len(self.workers) + 1)]:
            busy += self._turn(worker, wanted=INSTANCES in kinds)
        if present:
            worker = self.random.choice(present)
            busy += self._step(worker, partial(worker.chore, kinds))
        for bank in self.banks.values():
            if (errand := bank.company.books.next_errand()) is not None and errand <= self.timeline.here:
                bank.company.do_errands()
            busy += self._post(bank)
        if self.random.random() < 0.25:
            busy += self.people.work()
        if not self.weather.fair:
            self._mishap()
        return busy + self.timeline.pass_by(self.random.uniform(0.05, 0.8))

    def drain(self, told: Callable[[], None] = lambda: None) -> None:
        """Let everything come to its end, jumping over the time in which nothing is due."""
        end = self.timeline.now() + HORIZON
        idle = 0
        while self.timeline.now() < end:
            done = self.tick()
            told()
            if done:
                idle = 0
                continue
            moment = self._next()
            if moment is None or moment > end:
                return
            idle += 1
            if moment > self.timeline.now():
                self.timeline.go_to(moment + self._absence())
            elif idle > 200:
                return  # what is left is due and nobody does it; the promises will say so
        self.tally["horizon reached"] += 1

    def _absence(self) -> timedelta:
        """How late everybody comes to what is due next, so that some of it has gathered."""
        under_way = not all(worker.idle for worker in self.workers)
        return timedelta() if under_way else timedelta(seconds=self.random.choice((0, 5, 60)) * self.random.random())

    def books(self) -> Books:
        return {name: every_charge(bank.company.books) for name, bank in self.banks.items()}

    def check(self, *, rest: bool) -> list[Broken]:
        """The promises that are broken now, the worst ones first."""
        books = self.books()
        with self.database.begin() as tx:
            found = list(at_rest(tx, books, self.shop.accepted) if rest else always(tx, books))
        found += [*self.broken, *self._sent_twice()]
        return sorted(found, key=lambda broken: broken.promise)

    def _sent_twice(self) -> list[Broken]:
        """Orders that reached more than once a gateway that promises nothing about keys."""
        received = self.banks["sandbox_b"].company.visitors.report()["by_key"]
        return [
            Broken("I1", key, f"was sent {times} times to a gateway that promises nothing about keys")
            for key, times in received.items()
            if times > 1 and not key.startswith("lookup:")
        ]

    def _turn(self, worker: SimWorker, *, wanted: bool) -> int:
        """A worker that has something to do does it; now and then one looks although nothing is due."""
        if wanted or worker.caller.answered or self.random.random() < IN_VAIN:
            return self._step(worker, worker.turn)
        worker.renew()
        return 0

    def _step(self, worker: SimWorker, move: Callable[[], int]) -> int:
        self._dangerous = self.database.shaky = not self.weather.fair
        try:
            return move()
        except Crash:
            self.tally["crashes"] += 1
            worker.die(self.random.uniform(0.1, 5))
            return 1
        finally:
            self._dangerous = self.database.shaky = False

    def _reach(self, point: Point) -> None:
        """A named seam is reached."""
        if not self._dangerous:
            return
        draw = self.random.randrange(1000)
        if draw < CRASHES:
            self.tally[f"crash at {point}"] += 1
            raise Crash
        if draw < CRASHES + FAILURES:
            self.tally[f"failure at {point}"] += 1
            raise RuntimeError(f"a bug at {point}")

    def _mishap(self) -> None:
        draw = self.random.randrange(1000)
        worker = self.random.choice(self.workers)
        if draw < 6:
            self.tally["kills"] += 1
            worker.die(self.random.uniform(0.1, 15))
        elif draw < 12:
            self.tally["sleeps"] += 1
            worker.sleep(self.random.uniform(2, 25))
        elif draw < 14 and not self.weather.outages:
            self.tally["outages"] += 1
            name = self.random.choice(sorted(self.banks))
            self.weather.outages.add(name)
            self.timeline.after(self.random.uniform(5, 120), partial(self.weather.outages.discard, name))

    def _check_written(self, verb: str, key: str) -> None:
        """An order is about to leave: its intent must be on disk, as somebody else sees it."""
        self.tally["orders sent"] += 1
        row = self._witness.execute("SELECT state FROM attempts WHERE id = %s", (key,)).fetchone()
        if row is None:
            self.broken.append(Broken("I5", key, f"{verb} was sent before its attempt was on disk"))

    def _post(self, bank: Bank) -> int:
        """Letters that the bank has written leave: at once or late, once or twice, in any order, or never.

        One about a dispute arrives at last, as banks repeat theirs for days: that there is one is told by nothing else
        but a comparison of the books.
        """
        letters = bank.company.books.letters_due(self.timeline.now(), 500)
        for letter in letters:
            bank.company.books.letter_delivered(letter.seq)
            copies = self.random.choices((0, 1, 2), (3, 87, 10))[0]
            at_least = int(orjson.loads(letter.body)["type"].startswith("dispute."))
            for _ in range(max(copies, at_least)):
                delay = self.random.choice((0.0, self.random.uniform(0, 2), self.random.uniform(0, 120)))
                self.timeline.after(delay, partial(self._receive, bank, letter.id, letter.body, 5))
        return len(letters)

    def _receive(self, bank: Bank, letter_id: str, body: bytes, tries: int) -> None:
        now = self.timeline.now()
        headers = signed_headers((bank.secret,), letter_id, now, body)
        self.database.shaky = not self.weather.fair
        try:
            with self.database.begin() as tx:
                webhooks.receive(tx, self.wired.gateways, bank.name, headers, body)
            self.tally["webhooks"] += 1
        except OperationalError:
            if tries:
                self.timeline.after(5, partial(self._receive, bank, letter_id, body, tries - 1))
        finally:
            self.database.shaky = False

    def _due_kinds(self) -> frozenset[str]:
        """The kinds of work that somebody could do now."""
        now = self.timeline.now()
        with self.database.begin() as tx:
            return frozenset(kind for kind, moment in due(tx, now).items() if moment <= now)

    def _next(self) -> datetime | None:
        """When the next thing is due anywhere."""
        with self.database.begin() as tx:
            moments = [*due(tx, self.timeline.now()).values(), self.timeline.next()]
        moments += [bank.company.books.next_errand() for bank in self.banks.values()]
        return min((moment for moment in moments if moment is not None), default=None)
