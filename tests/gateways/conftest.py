from tests.fixtures_sandbox import receiver, sandbox
from tests.gateways.localstripe import stripe

__all__ = ["receiver", "sandbox", "stripe"]
