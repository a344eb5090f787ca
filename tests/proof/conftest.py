from tests.fixtures_sandbox import sandbox
from tests.house import house

__all__ = ["house", "sandbox"]
