import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.disputes.models import Dispute
from app.disputes.states import GRAPH as DISPUTE
from app.disputes.states import DisputeStatus, Stage, check_move
from app.payments.states import GRAPH as PAYMENT
from app.payments.states import Graph, IllegalTransition, PaymentStatus
from app.refunds.states import GRAPH as REFUND
from app.refunds.states import LATE_FAILURE, RefundStatus

GRAPHS = {
    "payment": (PAYMENT, PaymentStatus),
    "refund": (REFUND, RefundStatus),
    "dispute": (DISPUTE, DisputeStatus),
}
each = pytest.mark.parametrize(("graph", "statuses"), GRAPHS.values(), ids=GRAPHS)


@each
def test_terminal_states_have_no_way_out_but_the_late_moves(graph: Graph, statuses: type[PaymentStatus]) -> None:
    assert {source for source, _ in graph.edges}.isdisjoint(graph.terminal)
    assert {source for source, _ in graph.late} <= graph.terminal


@each
def test_every_state_can_be_reached_and_every_open_one_can_end(graph: Graph, statuses: type[PaymentStatus]) -> None:
    reached = set(graph.initial)
    while more := {target for source, target in graph.edges if source in reached} - reached:
        reached |= more
    assert reached == set(statuses)
    ending = set(graph.terminal)
    while more := {source for source, target in graph.edges if target in ending} - ending:
        ending |= more
    assert ending == set(statuses)


@each
def test_only_listed_edges_are_allowed(graph: Graph, statuses: type[PaymentStatus]) -> None:
    for source in statuses:
        for target in statuses:
            if (source, target) in graph.edges:
                graph.check(source, target)
            else:
                with pytest.raises(IllegalTransition, match="cannot become"):
                    graph.check(source, target)


@given(walk=st.lists(st.sampled_from(PaymentStatus), max_size=20))
def test_no_walk_leaves_a_terminal_state(walk: list[PaymentStatus]) -> None:
    status = PaymentStatus.PROCESSING
    for target in walk:
        if PAYMENT.allows(status, target):
            assert status not in PAYMENT.terminal
            status = target


def test_a_late_move_needs_its_name() -> None:
    edge = (RefundStatus.SUCCEEDED, RefundStatus.FAILED)
    assert not REFUND.allows(*edge)
    assert not REFUND.allows(*edge, late="because")
    assert REFUND.allows(*edge, late=LATE_FAILURE)


@given(
    stage=st.sampled_from(Stage),
    status=st.sampled_from(DisputeStatus),
    next_stage=st.sampled_from(Stage),
    next_status=st.sampled_from(DisputeStatus),
)
def test_a_dispute_never_goes_back_a_stage(
    stage: Stage, status: DisputeStatus, next_stage: Stage, next_status: DisputeStatus
) -> None:
    order = list(Stage)
    if order.index(next_stage) < order.index(stage):
        with pytest.raises(IllegalTransition, match="cannot go back"):
            check_move(Dispute(stage=stage, status=status), next_stage, next_status)
    elif order.index(next_stage) > order.index(stage):
        check_move(Dispute(stage=stage, status=status), next_stage, DisputeStatus.NEEDS_RESPONSE)
