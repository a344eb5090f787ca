"""A gateway behind its breaker: nothing is sent while the circuit is open, and every call is counted and told."""

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from app.gateways.breaker import Breaker, Rule
from app.gateways.guard import GatewayMetrics, Guarded
from app.gateways.port import Authorize, Capture, CouldNotAsk, Lookup, Outcome
from app.gateways.registry import Registry
from app.kit.money import Money
from tests.fixtures_sandbox import SandboxFactory, SandboxServer
from tests.house import House, house

assert house
MONEY = Money(1000, "EUR")


class Guards:
    """A guarded sandbox whose time stands still."""

    def __init__(self, server: SandboxServer, failures: int = 2) -> None:
        self.now = 0.0
        self.server = server
        self.numbers = CollectorRegistry()
        breaker = Breaker(Rule(failures), lambda: self.now)
        self.gateway = Guarded(server.gateway(total_seconds=0.5), breaker, GatewayMetrics(self.numbers))

    def authorize(self, key: str) -> Outcome:
        return self.gateway.authorize(Authorize(key, "pay_1", MONEY, "pm_card_visa")).outcome

    def count(self, operation: str, outcome: str) -> float:
        labels = {"gateway": "sandbox_a", "operation": operation, "outcome": outcome}
        return self.numbers.get_sample_value("sluice_gateway_calls_total", labels) or 0

    @property
    def open(self) -> float | None:
        return self.numbers.get_sample_value("sluice_gateway_circuit_open", {"gateway": "sandbox_a"})


@pytest.fixture
def guards(sandbox: SandboxFactory) -> Guards:
    return Guards(sandbox())


def open_circuit(guards: Guards) -> None:
    guards.server.stop()
    assert [guards.authorize(f"att_{n}") for n in range(2)] == [Outcome.NOT_SENT] * 2
    guards.server.restart()
    assert guards.open == 1


def test_while_the_circuit_is_open_nothing_is_sent_and_nothing_is_claimed_to_be_known(guards: Guards) -> None:
    open_circuit(guards)
    result = guards.gateway.authorize(Authorize("att_9", "pay_1", MONEY, "pm_card_visa"))
    assert (result.outcome, result.gateway_code) == (Outcome.NOT_SENT, "circuit_open")
    assert guards.gateway.capture(Capture("att_8", "ch_1", MONEY)).outcome is Outcome.NOT_SENT
    assert guards.gateway.lookup(Lookup("authorize", "att_1")).found is None
    with pytest.raises(CouldNotAsk):
        guards.gateway.dispute("dp_1")
    assert guards.server.admin("GET", "requests")["by_key"] == {}
    assert guards.count("authorize", "circuit_open") == 1


def test_the_first_call_after_the_pause_finds_out_that_it_works_again(guards: Guards) -> None:
    open_circuit(guards)
    guards.now = 1.0
    assert guards.authorize("att_5") is Outcome.APPROVED
    assert guards.open == 0
    assert guards.count("authorize", "approved") == 1


def test_declines_are_answers_and_a_timeout_is_not(guards: Guards) -> None:
    guards.server.fault("timeout_lost", "authorize", count=2)
    assert [guards.authorize(f"att_{n}") for n in range(2)] == [Outcome.UNKNOWN] * 2
    assert guards.open == 1
    guards.now = 1.0
    declined = guards.gateway.authorize(Authorize("att_7", "pay_1", MONEY, "pm_card_stolen"))
    assert declined.outcome is Outcome.DECLINED
    assert guards.open == 0


def test_a_lookup_that_knows_nothing_is_an_answer_and_an_unknown_dispute_too(guards: Guards) -> None:
    assert guards.gateway.lookup(Lookup("authorize", "att_none")).found is False
    assert guards.gateway.dispute("dp_none") is None
    assert guards.count("lookup", "absent") == guards.count("dispute", "absent") == 1


def test_every_call_is_one_log_line_and_one_measurement(guards: Guards) -> None:
    with capture_logs() as lines:
        guards.authorize("att_1")
    (line,) = lines
    assert line.pop("milliseconds") >= 0
    assert line == {
        "event": "gateway.called",
        "log_level": "info",
        "gateway": "sandbox_a",
        "operation": "authorize",
        "attempt": "att_1",
        "outcome": "approved",
    }
    timed = {"gateway": "sandbox_a", "operation": "authorize"}
    assert guards.numbers.get_sample_value("sluice_gateway_call_seconds_count", timed) == 1


def test_a_payment_fails_over_at_once_while_the_circuit_is_open(house: House) -> None:
    metrics = GatewayMetrics(CollectorRegistry())
    slow = Rule(failures=1, first_pause=3600, longest_pause=3600)
    guarded = [Guarded(gateway, Breaker(slow), metrics) for gateway in house.wired.gateways]
    house.wired = replace(house.wired, gateways=Registry(guarded))
    house.loop = house.another_loop("worker-guarded")
    house.a.stop()
    payment = house.pay()
    house.run()
    for _ in range(3):
        house.clock.advance(house.clock.shift.resolution * 3_000_000)
        house.run()
    house.a.restart()

    assert house.payment(payment).status == "succeeded"
    authorized = [(gateway, outcome) for verb, gateway, outcome in house.outcomes(payment) if verb == "authorize"]
    assert authorized == [("sandbox_a", "not_sent")] * 3 + [("sandbox_b", "approved")]
    assert house.attempts(payment)[1].gateway_code == "circuit_open"
    house.check_books()
