from tests.fixtures_sandbox import sandbox
from tests.house import house
from tests.jobs.workers import workers

__all__ = ["house", "sandbox", "workers"]
