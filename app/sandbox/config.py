"""What one sandbox company is started with."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """`data` is the folder of the books. Delays are seconds of the sandbox's own clock.

    `healthy_for` names payment methods that lose their special behaviour here and are simply approved, so that a
    second sandbox can be the one that works. Without `webhook_url` events are kept and not delivered.
    """

    name: str
    data: Path
    api_key: str
    webhook_url: str = ""
    webhook_secret: str = ""
    healthy_for: frozenset[str] = frozenset()
    settle_seconds: float = 3
    dispute_seconds: float = 2
    hold_seconds: float = 60
    webhook_retry_seconds: float = 0.5
