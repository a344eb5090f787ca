"""What the outcomes of an attempt mean for the money."""

from typing import Final

#: Outcomes that may still become another one; while one of these stands, nobody knows where the money is.
UNRESOLVED: Final = frozenset({"pending", "needs_action", "unknown"})
#: Outcomes that are sure to have moved nothing.
WITHOUT_EFFECT: Final = frozenset({"declined", "not_sent"})
