from tests.fixtures_sandbox import receiver, sandbox
from tests.gateways.localstripe import stripe
from tests.till import till

__all__ = ["receiver", "sandbox", "stripe", "till"]
