from tests.fixtures_sandbox import receiver, sandbox

__all__ = ["receiver", "sandbox"]
