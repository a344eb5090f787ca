from tests.fixtures_sandbox import sandbox
from tests.house import house, patience

__all__ = ["house", "patience", "sandbox"]
