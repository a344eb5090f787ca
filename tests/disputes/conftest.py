from tests.fixtures_sandbox import receiver, sandbox
from tests.till import till

__all__ = ["receiver", "sandbox", "till"]
