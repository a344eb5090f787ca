"""The worker's loop: claim due instances, let them run until they rest, save many in one transaction, make their calls.

One turn is one transaction. What an instance asks of a gateway is sent only after the commit that wrote its intent;
what came back is booked together with everything it leads to, and kept until that is certain. An instance whose turn
fails is tried alone, then later, and at last shown to people.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from app.engine import inbox, store
from app.engine.pins import load_bundle
from app.engine.runner import Run
from app.engine.step import Call, Item, ItemKind, Step
from app.errors import AppError
from app.installation import Sending
from app.jobs.calls import Answer, Caller
from app.jobs.merge import merged
from app.kit.crashpoint import Point, crashpoint
from app.kit.database import Database, Tx
from app.kit.trace import following, mark, tracer
from app.operations import Effect, OperationContext, OperationError, Registry

log = structlog.get_logger()

#: Rounds of local operations in one turn; a diagram that needs more has a loop without a wait.
ROUNDS = 200


#: Told in the transaction in which an instance ends: its id and its subject.
OnEnd = Callable[[Tx, str, str], None]


@dataclass
class Hand:
    """An instance in this worker's hands: its claim and its run in memory.

    `sent` are calls that were written ahead before it was loaded: whoever wrote them may have made them and died.
    """

    claim: store.Claim
    run: Run
    sent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Turn:
    """What one instance did in a turn, ready to be saved. `keep` it while it has calls under way.

    `trace` is on whose behalf it did this, for the calls that follow.
    """

    hand: Hand
    step: Step
    taken: Sequence[int]
    effects: Mapping[str, Effect]
    keep: bool
    trace: str


class Loop:
    def __init__(
        self,
        database: Database,
        registry: Registry,
        resources: Mapping[type, object],
        caller: Caller,
        owner: str,
        batch: int,
        on_end: OnEnd,
        sending: Sending,
    ) -> None:
        self._database = database
        self._registry = registry
        self._resources = resources
        self._caller = caller
        self._owner = owner
        self._batch = batch
        self._on_end = on_end
        self._sending = sending
        self._hands: dict[str, Hand] = {}
        #: Calls this process has made and not booked, by instance; they outlive a hand that was dropped.
        self._under_way: dict[str, set[str]] = {}
        #: Answers that are in and not booked. The database may be away for a while.
        self._unbooked: dict[str, list[Answer]] = {}
        self._deferred: set[str] = set()
        #: The last claim was full, so more may be due: merchants then take turns.
        self.crowded = False

    @property
    def idle(self) -> bool:
        """True when no call is under way, so stopping loses no time for anybody."""
        return not self._under_way

    def turn(self, *, claim: bool = True) -> int:
        """Do what is due now; how many instances were touched. `claim` is off while the worker is stopping."""
        for answer in self._caller.answers():
            self._unbooked.setdefault(answer.instance_id, []).append(answer)
        if self._unbooked:
            crashpoint(Point.ANSWERED)
        if not claim and not self._unbooked:
            return 0
        with self._database.begin() as tx:
            held = self._sending.held(tx)
            claimed = self._claim(tx) if claim and not held else []
        self.crowded = len(claimed) == self._batch
        if held:
            return self._only_book()
        ids = list(dict.fromkeys([*self._unbooked, *claimed]))
        if ids:
            self._advance_all(ids)
        return len(ids)

    def _claim(self, tx: Tx) -> list[str]:
        return store.claim(tx, self._owner, self._batch, self._deferred, fair=self.crowded)

    def _advance_all(self, ids: Sequence[str]) -> None:
        try:
            self._together(ids)
        except Exception as error:  # noqa: BLE001 - one of them broke; each alone will tell which
            if len(ids) > 1:
                log.info("turn.split", instances=len(ids), error=repr(error))
            # All runs of this turn may be half moved.
            for instance_id in ids:
                self._drop(instance_id)
            for instance_id in ids:
                self._alone(instance_id)

    def _only_book(self) -> int:
        """Nothing may be sent: what gateways have answered is booked, and no instance goes on."""
        ids = list(self._unbooked)
        for instance_id in ids:
            self._drop(instance_id)
            self._book_only(instance_id)
        return len(ids)

    def renew(self) -> None:
        """Keep the leases of instances whose calls are still under way."""
        calling = list(self._under_way)
        if calling:
            with self._database.begin() as tx:
                store.renew(tx, self._owner, calling)

    def _together(self, ids: Sequence[str]) -> None:
        with self._database.begin() as tx:
            # Every operation first, every save after: locks are then taken in one order, payments before inboxes.
            turns = [self._advance(tx, instance_id) for instance_id in ids]
            claims = [self._save(tx, turn) for turn in turns]
            crashpoint(Point.BEFORE_STEP_COMMIT)
        crashpoint(Point.AFTER_STEP_COMMIT)
        for turn, claim in zip(turns, claims, strict=True):
            self._go_on(turn, claim)

    def _alone(self, instance_id: str) -> None:
        try:
            self._together([instance_id])
        except store.LeaseLost:
            log.info("lease.lost", instance=instance_id)
            self._drop(instance_id)
            self._book_only(instance_id)
        except Exception as error:
            log.exception("instance.failed", instance=instance_id)
            self._drop(instance_id)
            # Only then are its answers let go: should the database be away, the next turn begins with them.
            self._give_back(instance_id, error)
            self._book_only(instance_id)

    def _book_only(self, instance_id: str) -> None:
        """The instance goes on without us, later, or ended: what its gateway answered is booked all the same."""
        for answer in self._unbooked.get(instance_id, []):
            try:
                with self._database.begin() as tx:
                    self._finish(tx, store.peek(tx, instance_id), answer)
            except Exception:
                log.exception("answer.not_booked", instance=instance_id, node=answer.node)
        self._booked(instance_id)

    def _booked(self, instance_id: str) -> None:
        """The answers that are in were dealt with."""
        under_way = self._under_way.get(instance_id, set())
        under_way.difference_update(answer.node for answer in self._unbooked.pop(instance_id, []))
        if not under_way:
            self._under_way.pop(instance_id, None)

    def _give_back(self, instance_id: str, error: Exception) -> None:
        with self._database.begin() as tx:
            failures = store.fail(tx, self._owner, instance_id, repr(error), retry_in=timedelta(seconds=1))
            if failures >= inbox.PARK_AFTER:
                store.park(tx, instance_id, repr(error))

    def _drop(self, instance_id: str) -> None:
        self._hands.pop(instance_id, None)
        self._deferred.discard(instance_id)

    def _hand(self, tx: Tx, instance_id: str) -> Hand:
        hand = self._hands.get(instance_id)
        if hand is not None:
            return hand
        claim = store.load(tx, self._owner, instance_id)
        bundle = load_bundle(tx, claim.pins)
        run = Run.start(bundle, claim.variables) if claim.state is None else Run.load(bundle, claim.state)
        return Hand(claim, run, store.calls_open(tx, instance_id))

    def _advance(self, tx: Tx, instance_id: str) -> Turn:
        """Run one instance until it asks only for calls and waits; local operations share the transaction."""
        hand = self._hand(tx, instance_id)
        answers = self._unbooked.get(instance_id, [])
        arrivals, open_calls = self._news(tx, hand, answers)
        # On behalf of whoever caused it last: a person who decided, a request, or at first who started it.
        traces = [*(answer.trace for answer in answers), *(arrival.trace for arrival in arrivals)]
        trace = next((trace for trace in reversed(traces) if trace), hand.claim.trace)
        with following(trace, instance=instance_id, subject=hand.claim.subject), tracer.start_as_current_span("step"):
            return self._step(tx, hand, answers, arrivals, open_calls)

    def _news(self, tx: Tx, hand: Hand, answers: Sequence[Answer]) -> tuple[list[store.Arrival], frozenset[str]]:
        """What has arrived for the instance, and the calls it still has under way."""
        answered = frozenset(answer.node for answer in answers)
        under_way = frozenset(self._under_way.get(hand.claim.id, set()) - answered)
        # Found out before a request to cancel is heard, unless finding out is what fails.
        lost = frozenset() if hand.claim.failures else hand.sent - answered
        return self._arrivals(tx, hand.claim.id, wait_for_calls=bool(under_way | lost)), under_way

    def _step(
        self,
        tx: Tx,
        hand: Hand,
        answers: Sequence[Answer],
        arrivals: Sequence[store.Arrival],
        under_way: frozenset[str],
    ) -> Turn:
        items = [self._finish(tx, hand.claim, answer) for answer in answers]
        items += [arrival.item for arrival in arrivals]
        effects: dict[str, Effect] = {}
        steps: list[Step] = []
        for _ in range(ROUNDS):
            steps.append(hand.run.advance(items, tx.now()))
            items = []
            for call in steps[-1].calls:
                if call.node in under_way or call.node in effects:
                    continue
                outcome = self._begin(tx, hand.claim, call)
                if isinstance(outcome, Effect):
                    effects[call.node] = outcome
                else:
                    items.append(outcome)
            if not items:
                break
        else:
            raise RuntimeError(f"more than {ROUNDS} operations without a wait")
        taken = [arrival.row_id for arrival in arrivals]
        return Turn(hand, merged(steps), taken, effects, keep=bool(effects) or bool(under_way), trace=mark())

    def _arrivals(self, tx: Tx, instance_id: str, *, wait_for_calls: bool) -> list[store.Arrival]:
        """What lies in the inbox. A request to cancel waits until calls under way are answered, so they are booked."""
        arrivals = store.arrivals(tx, instance_id)
        if not wait_for_calls:
            self._deferred.discard(instance_id)
            return arrivals
        ready = [arrival for arrival in arrivals if arrival.item.kind is not ItemKind.CANCEL]
        if len(ready) < len(arrivals):
            self._deferred.add(instance_id)
        return ready

    def _begin(self, tx: Tx, claim: store.Claim, call: Call) -> Item | Effect:
        """Run a local operation, or write the intent of a call to the outside."""
        try:
            operation = self._registry.get(call.operation)
            outcome = operation.handler(self._context(tx, claim, call.node, call.element), operation.parse(call.params))
        except OperationError as error:
            return _thrown(call.node, error)
        except AppError as error:
            return Item(ItemKind.CALL_FAILED, call.node, {"message": error.detail, "code": error.code})
        if isinstance(outcome, Effect):
            return outcome
        return Item(ItemKind.CALL_RESULT, call.node, outcome.model_dump(mode="json"))

    def _finish(self, tx: Tx, claim: store.Claim, answer: Answer) -> Item:
        if answer.error is not None:
            raise answer.error
        element = answer.node.rpartition("/")[2].partition("#")[0]
        try:
            result = answer.effect.finish(self._context(tx, claim, answer.node, element), answer.value)
        except OperationError as error:
            return _thrown(answer.node, error)
        return Item(ItemKind.CALL_RESULT, answer.node, result.model_dump(mode="json"))

    def _context(self, tx: Tx, claim: store.Claim, node: str, element: str) -> OperationContext:
        return OperationContext(
            tx=tx,
            now=tx.now(),
            merchant_id=claim.merchant_id,
            instance_id=claim.id,
            activation=node,
            element=element,
            subject=claim.subject,
            resources=self._resources,
        )

    def _save(self, tx: Tx, turn: Turn) -> store.Claim:
        state = None if turn.step.status.ended else turn.hand.run.dump()
        outcome = store.Outcome(turn.hand.claim, turn.step, state, turn.taken, turn.keep)
        claim = store.save(tx, self._owner, outcome)
        if turn.step.status.ended:
            self._on_end(tx, claim.id, claim.subject)
        return claim

    def _go_on(self, turn: Turn, claim: store.Claim) -> None:
        """After the commit: send what was written ahead, and keep in hand what still has calls under way."""
        self._booked(claim.id)
        if turn.effects:
            self._under_way.setdefault(claim.id, set()).update(turn.effects)
        if turn.keep and not turn.step.status.ended:
            self._hands[claim.id] = Hand(claim, turn.hand.run)
        else:
            self._drop(claim.id)
        for node, effect in turn.effects.items():
            self._caller.submit(claim.id, node, effect, turn.trace)


def _thrown(node: str, error: OperationError) -> Item:
    return Item(ItemKind.CALL_ERROR, node, {"code": error.code, "message": error.message, "facts": error.facts})
