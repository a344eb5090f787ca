"""Every rule of the gate, in the order in which its findings are told."""

from collections.abc import Callable, Iterator

from app.engine.lint import (
    activities,
    allowed,
    branching,
    calls,
    drawing,
    expressions,
    joins,
    messages,
    money,
    operations,
    reviews,
    schema,
    starts,
    structure,
    timers,
)
from app.engine.lint.finding import Finding
from app.engine.lint.known import Known
from app.engine.lint.model import Model

Rule = Callable[[Model], Iterator[Finding]]
RuleOfWorld = Callable[[Model, Known], Iterator[Finding]]

#: What can be said of any file, however large or broken.
FIRST: tuple[Rule, ...] = (
    allowed.elements,
    allowed.events,
    schema.valid,
    structure.process_level,
    structure.identifiers,
)

#: What is said of the graph, once its size is within bounds.
OF_THE_DIAGRAM: tuple[Rule, ...] = (
    structure.starts,
    structure.references,
    structure.reachability,
    branching.conditions,
    branching.splits,
    branching.merges,
    branching.event_gateways,
    joins.deadlocks,
    expressions.compiled,
    timers.readable,
    starts.readable,
    messages.declared,
    messages.alternatives,
    messages.thrown,
    messages.sent,
    activities.complete,
    activities.assigned,
    drawing.names,
    drawing.pools,
    drawing.lanes,
    drawing.drawn,
)

#: What depends on the operations and on what is deployed beside it.
OF_THE_WORLD: tuple[RuleOfWorld, ...] = (
    operations.called,
    operations.boundaries,
    money.unknown_outcomes,
    money.unknown_paths,
    money.loops,
    money.authorizations,
    reviews.outlived,
    starts.subjects,
    calls.processes,
    calls.decisions,
    activities.forms,
)
