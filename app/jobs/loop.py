"""The worker's loop: claim due instances, let them run until they rest, save many in one transaction, make their calls.

One turn is one transaction, and one statement for each table however many instances take part. What an instance asks
of a gateway is sent only after the commit that wrote its intent; what came back is booked together with everything it
leads to, and kept until that is certain. An instance whose turn fails is tried alone, then later, and at last shown to
people; one whose lease is lost is left to whoever has it. One that ended several workers in a row is tried alone too,
so that it takes no other with it, and then shown to people.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import structlog
from sqlalchemy.exc import DBAPIError

from app.engine import inbox, references, saving, store
from app.engine.pins import load_bundle
from app.engine.runner import Run
from app.engine.step import Call, Item, ItemKind, Step, element_of
from app.errors import AppError
from app.installation import Sending
from app.jobs.calls import Answer, Caller
from app.kit.crashpoint import Point, crashpoint
from app.kit.database import NO_WAIT, Database, Tx, is_away
from app.kit.trace import following, mark, span
from app.operations import Effect, OperationContext, OperationError, Registry, Result

log = structlog.get_logger()

#: Rounds of local operations in one turn; a diagram that needs more has a loop without a wait.
ROUNDS = 200


#: Deaths of workers in a row after which an instance is suspected of having caused them, and no other shares its turn;
#: and after which it is parked. Workers that others kill leave one behind by chance several times, and hardly twenty.
SUSPECTED: Final = 4
FATAL: Final = 20


#: Told in the transaction in which an instance ends: its id and its subject.
OnEnd = Callable[[Tx, str, str], None]
#: Told the subjects of a turn before any operation runs: what locks and reads is better done once for all of them.
Prepare = Callable[[Tx, Collection[str]], None]

# Every row that the loop wants is found through an index. PostgreSQL would read whole tables: its plans are from when
# they were small, and they grow faster than its statistics.
_BY_INDEX: Final = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
# A lease that is lost with the server was followed by nothing.
_CLAIMING: Final = {**NO_WAIT, **_BY_INDEX}


class _Held(Exception):
    """Nothing may be sent."""


@dataclass(frozen=True)
class Told:
    """Who is told what the loop does: `prepare` at the start of a turn, `on_end` when an instance ends."""

    prepare: Prepare
    on_end: OnEnd


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
        told: Told,
        sending: Sending,
    ) -> None:
        self._database = database
        self._registry = registry
        self._resources = resources
        self._caller = caller
        self._owner = owner
        self._batch = batch
        self._told = told
        self._sending = sending
        self._hands: dict[str, Hand] = {}
        #: Calls this process has made and not booked, by instance; they outlive a hand that was dropped.
        self._under_way: dict[str, set[str]] = {}
        #: Answers that are in and not booked. The database may be away for a while.
        self._unbooked: dict[str, list[Answer]] = {}
        self._deferred: set[str] = set()
        #: The last claim left something that is due, or may have: merchants then take turns.
        self.crowded = False
        #: Whether this turn has found that it may send.
        self._looked = False
        #: How many leases of others had run out and were taken over by the last turn.
        self.taken_over = 0

    @property
    def idle(self) -> bool:
        """True when no call is under way, so stopping loses no time for anybody."""
        return not self._under_way

    def turn(self, *, claim: bool = True) -> int:
        """Do what is due now; how many instances were touched. Without `claim` only what gateways have answered."""
        for answer in self._caller.answers():
            self._unbooked.setdefault(answer.instance_id, []).append(answer)
        if self._unbooked:
            crashpoint(Point.ANSWERED)
        self.taken_over = 0
        if not claim and not self._unbooked:
            return 0
        self._looked = False
        try:
            taken, claimed = self._claim() if claim else (0, {})
            ids = list(dict.fromkeys([*self._unbooked, *claimed]))
            alone = [one for one in ids if self._is_suspected(one, claimed)]
            for together in ([one for one in ids if one not in alone], *([one] for one in alone)):
                if together:
                    self._advance_all(together, claimed)
        except _Held:
            return self._only_book()
        return len(ids) or taken

    def _claim(self) -> tuple[int, Mapping[str, store.Claim]]:
        """How many were due, and those to go on with. _Held when nothing may be sent."""
        claims: Sequence[store.Claim] = []
        claimed: Mapping[str, store.Claim] = {}
        with self._database.begin() as tx:
            if may_send := self._may_send(tx, _CLAIMING):
                claims = store.claim(tx, self._owner, self._batch, self._deferred, fair=self.crowded)
                claimed = self._tried(tx, claims)
        self.crowded = len(claims) == self._batch or len(claimed) < len(claims)
        self.taken_over = sum(claim.taken_over for claim in claims)
        if not may_send:
            raise _Held
        return len(claims), claimed

    def _may_send(self, tx: Tx, settings: Mapping[str, str]) -> bool:
        """Looked up once in each turn, before anything else; `settings` are for the rest of the transaction."""
        if self._looked:
            tx.local(settings)
        else:
            self._looked = not self._sending.held(tx, settings)
        return self._looked

    def _tried(self, tx: Tx, claims: Sequence[store.Claim]) -> dict[str, store.Claim]:
        """Those to go on with: one at most of the suspected; the others of them wait, and the fatal ones are parked."""
        suspected = sorted((claim for claim in claims if claim.deaths >= SUSPECTED), key=lambda one: -one.deaths)
        fatal = [claim for claim in suspected if claim.deaths >= FATAL]
        for claim in fatal:
            log.error("instance.fatal", instance=claim.id, deaths=claim.deaths)
            store.park(tx, claim.id, f"{claim.deaths} workers in a row ended while they had it in their hands")
        others = suspected[len(fatal) + 1 :]
        if others:
            store.give_back(tx, self._owner, [claim.id for claim in others])
        left_out = {claim.id for claim in (*fatal, *others)}
        return {claim.id: claim for claim in claims if claim.id not in left_out}

    def _is_suspected(self, instance_id: str, claimed: Mapping[str, store.Claim]) -> bool:
        hand = self._hands.get(instance_id)
        claim = claimed.get(instance_id) or (hand.claim if hand is not None else None)
        return claim is not None and claim.deaths >= SUSPECTED

    def _advance_all(self, ids: Sequence[str], claimed: Mapping[str, store.Claim]) -> None:
        try:
            self._together(ids, claimed)
        except _Held:
            raise
        except store.LeaseLost as lost:
            # All runs of this turn may be half moved; those whose lease holds are read anew.
            self._drop_all(ids)
            for instance_id in lost.instances:
                self._leave(instance_id)
            left = [instance_id for instance_id in ids if instance_id not in lost.instances]
            if left:
                self._advance_all(left, {})
        except Exception as error:
            self._drop_all(ids)
            if is_away(error):
                self._let_go(ids)
                raise
            # One of them broke: each alone will tell which.
            if len(ids) == 1:
                self._failed(ids[0], error)
                return
            log.info("turn.split", instances=len(ids), error=repr(error))
            for instance_id in ids:
                self._advance_all([instance_id], {})

    def _let_go(self, ids: Collection[str]) -> None:
        """The database cannot work: a lease that runs out meanwhile would look like our death to whoever comes next."""
        idle = [one for one in ids if one not in self._unbooked and one not in self._under_way]
        try:
            with self._database.begin() as tx:
                store.give_back(tx, self._owner, idle)
        except DBAPIError as error:
            log.info("lease.not_given_back", instances=len(idle), error=repr(error))

    def _only_book(self) -> int:
        """Nothing may be sent: what gateways have answered is booked, and no instance goes on."""
        ids = list(self._unbooked)
        self._drop_all(ids)
        for instance_id in ids:
            self._book_only(instance_id)
        return len(ids)

    def renew(self) -> None:
        """Keep the leases of instances whose calls are still under way."""
        calling = list(self._under_way)
        if calling:
            with self._database.begin() as tx:
                tx.local(NO_WAIT)
                store.renew(tx, self._owner, calling)

    def _together(self, ids: Sequence[str], claimed: Mapping[str, store.Claim]) -> None:
        saved: Sequence[tuple[Turn, store.Claim]] = []
        with self._database.begin() as tx:
            if may_send := self._may_send(tx, _BY_INDEX):
                saved = self._save_all(tx, ids, claimed)
        if not may_send:
            raise _Held
        crashpoint(Point.AFTER_STEP_COMMIT)
        for turn, claim in saved:
            self._go_on(turn, claim)

    def _save_all(
        self, tx: Tx, ids: Sequence[str], claimed: Mapping[str, store.Claim]
    ) -> Sequence[tuple[Turn, store.Claim]]:
        """What each did, and its claim for the next step."""
        hands = self._hands_of(tx, ids, claimed)
        for hand in hands:
            references.made(tx, hand.claim)
        arrivals = store.arrivals(tx, ids)
        # Every operation first, every save after: locks are then taken in one order, payments before inboxes.
        self._told.prepare(tx, [hand.claim.subject for hand in hands])
        turns = [self._advance(tx, hand, arrivals.get(hand.claim.id, [])) for hand in hands]
        claims = saving.save_many(tx, self._owner, [self._outcome(turn) for turn in turns])
        for turn in turns:
            if turn.step.status.ended:
                self._told.on_end(tx, turn.hand.claim.id, turn.hand.claim.subject)
        tx.settle()
        crashpoint(Point.BEFORE_STEP_COMMIT)
        return list(zip(turns, claims, strict=True))

    def _leave(self, instance_id: str) -> None:
        """Somebody else has it: only what its gateway answered us is booked."""
        log.info("lease.lost", instance=instance_id)
        self._drop(instance_id)
        self._book_only(instance_id)

    def _failed(self, instance_id: str, error: Exception) -> None:
        log.error("instance.failed", instance=instance_id, exc_info=error)
        # Only then are its answers let go: should the database be away, the next turn begins with them.
        self._give_back(instance_id, error)
        self._book_only(instance_id)

    def _book_only(self, instance_id: str) -> None:
        """The instance goes on without us, later, or ended: what its gateway answered is booked all the same."""
        for answer in self._unbooked.get(instance_id, []):
            try:
                with self._database.begin() as tx:
                    self._finish(tx, store.peek(tx, instance_id), answer)
            except Exception as error:
                if is_away(error):
                    # The next turn begins with them; to book one again that is booked changes nothing.
                    raise
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

    def _drop_all(self, ids: Collection[str]) -> None:
        for instance_id in ids:
            self._drop(instance_id)

    def _hands_of(self, tx: Tx, ids: Sequence[str], claimed: Mapping[str, store.Claim]) -> list[Hand]:
        """Those in memory, those just claimed, and the rest read anew; LeaseLost when some are not ours any more."""
        missing = [one for one in ids if one not in self._hands and one not in claimed]
        claims = dict(claimed)
        if missing:
            claims |= {claim.id: claim for claim in store.load_many(tx, self._owner, missing)}
            lost = [one for one in missing if one not in claims]
            if lost:
                raise store.LeaseLost(lost)
        return [self._hands.get(one) or _taken_up(tx, claims[one]) for one in ids]

    def _advance(self, tx: Tx, hand: Hand, arrived: Sequence[store.Arrival]) -> Turn:
        """Run one instance until it asks only for calls and waits; local operations share the transaction."""
        answers = self._unbooked.get(hand.claim.id, [])
        arrivals, open_calls = self._news(hand, answers, arrived)
        # On behalf of whoever caused it last: a person who decided, a request, or at first who started it.
        traces = [*(answer.trace for answer in answers), *(arrival.trace for arrival in arrivals)]
        trace = next((trace for trace in reversed(traces) if trace), hand.claim.trace)
        with following(trace, instance=hand.claim.id, subject=hand.claim.subject), span("step"):
            return self._step(tx, hand, answers, arrivals, open_calls)

    def _news(
        self, hand: Hand, answers: Sequence[Answer], arrived: Sequence[store.Arrival]
    ) -> tuple[Sequence[store.Arrival], frozenset[str]]:
        """What is to be taken in, and the calls still under way.

        A request to cancel waits until calls under way are answered, so they are booked. Calls that an earlier worker
        has made are found out about before it is heard, too, unless finding out is what fails.
        """
        instance_id = hand.claim.id
        answered = frozenset(answer.node for answer in answers)
        under_way = frozenset(self._under_way.get(instance_id, set()) - answered)
        lost = frozenset() if hand.claim.failures else hand.sent - answered
        if not under_way | lost:
            self._deferred.discard(instance_id)
            return arrived, under_way
        ready = [arrival for arrival in arrived if arrival.item.kind is not ItemKind.CANCEL]
        if len(ready) < len(arrived):
            self._deferred.add(instance_id)
        return ready, under_way

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
        for _ in range(ROUNDS):
            calls = hand.run.apply(items, tx.now())
            items = []
            for call in calls:
                if call.node in under_way or call.node in effects:
                    continue
                outcome = self._begin(tx, hand.claim, call)
                if isinstance(outcome, Item):
                    items.append(outcome)
                else:
                    effects[call.node] = outcome
            if not items:
                break
        else:
            raise RuntimeError(f"more than {ROUNDS} operations without a wait")
        taken = [arrival.row_id for arrival in arrivals]
        return Turn(hand, hand.run.rest(), taken, effects, keep=bool(effects) or bool(under_way), trace=mark())

    def _begin(self, tx: Tx, claim: store.Claim, call: Call) -> Item | Effect:
        """Run a local operation, or write the intent of a call to the outside."""
        try:
            operation = self._registry.get(call.operation)
            context = self._context(tx, claim, call.node, call.element)
            outcome = operation.handler(context, operation.parse(call.params))
        except OperationError as error:
            return _thrown(call.node, error)
        except AppError as error:
            return Item(ItemKind.CALL_FAILED, call.node, {"message": error.detail, "code": error.code})
        if isinstance(outcome, Result):
            return Item(ItemKind.CALL_RESULT, call.node, outcome.model_dump(mode="json"))
        return outcome

    def _finish(self, tx: Tx, claim: store.Claim, answer: Answer) -> Item:
        if answer.error is not None:
            raise answer.error
        element = element_of(answer.node)
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

    def _outcome(self, turn: Turn) -> saving.Outcome:
        state = None if turn.step.status.ended else turn.hand.run.dump()
        return saving.Outcome(turn.hand.claim, turn.step, state, turn.taken, turn.keep)

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


def _taken_up(tx: Tx, claim: store.Claim) -> Hand:
    bundle = load_bundle(tx, claim.pins)
    run = Run.start(bundle, claim.variables) if claim.state is None else Run.load(bundle, claim.state)
    return Hand(claim, run, frozenset(claim.calls))


def _thrown(node: str, error: OperationError) -> Item:
    return Item(ItemKind.CALL_ERROR, node, {"code": error.code, "message": error.message, "facts": error.facts})
