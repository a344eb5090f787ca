"""Who acts. Every change of state names its actor; every permission is asked of one."""

from dataclasses import dataclass
from enum import StrEnum

from app.errors import Forbidden


class Role(StrEnum):
    REVIEWER = "reviewer"  # decides on flagged payments, refunds and disputes
    ANALYST = "analyst"  # draws and changes flows
    OPERATOR = "operator"  # watches and repairs
    ADMIN = "admin"  # users, keys, webhook endpoints, settings
    INTEGRATOR = "integrator"  # a system that starts flows and reads them


@dataclass(frozen=True, slots=True)
class Actor:
    """A person (`usr_…`), a system's key (`key_…`) or the system itself (`system`), within one merchant.

    A person's token acts as that person: `id` is the user's, so nobody gets round four eyes with a token.
    """

    id: str
    name: str
    merchant_id: str
    roles: frozenset[str] = frozenset()

    @property
    def is_person(self) -> bool:
        return self.id.startswith("usr_")

    def require(self, *roles: Role) -> None:
        """Forbidden unless the actor has at least one of `roles`."""
        if self.roles.isdisjoint(roles):
            wanted = " or ".join(roles)
            raise Forbidden(f"This needs the role {wanted}", extra={"roles": [str(role) for role in roles]})


def system(merchant_id: str) -> Actor:
    """Sluice itself, acting for a merchant: timers, webhooks of gateways, the command line."""
    return Actor("system", "Sluice", merchant_id, frozenset(Role))
