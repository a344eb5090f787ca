"""Who acts. Every change of state names its actor; every permission is asked of one."""

import os
import pwd
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from app.errors import Forbidden

SYSTEM: Final = "system"


class Role(StrEnum):
    REVIEWER = "reviewer"  # decides on flagged payments, refunds and disputes
    ANALYST = "analyst"  # draws and changes flows
    OPERATOR = "operator"  # watches and repairs
    ADMIN = "admin"  # users, keys, webhook endpoints, settings
    INTEGRATOR = "integrator"  # a system that starts flows and reads them


@dataclass(frozen=True, slots=True)
class Actor:
    """A person (`usr_…`), a key of a system (`key_…`), a user of the host (`cli:…`) or Sluice itself (`system`), within
    one merchant.

    A person's token acts as that person: `id` is the user's, so nobody gets round four eyes with a token.
    """

    id: str
    name: str
    merchant_id: str
    roles: frozenset[str] = frozenset()

    @property
    def is_person(self) -> bool:
        return self.id.startswith("usr_")

    @property
    def is_house(self) -> bool:
        """Sluice itself or somebody at its host: nobody inside could refuse them anything."""
        return self.id == SYSTEM or self.id.startswith("cli:")

    def require(self, *roles: Role) -> None:
        """Forbidden unless the actor has at least one of `roles`."""
        if self.roles.isdisjoint(roles):
            wanted = " or ".join(roles)
            raise Forbidden(f"This needs the role {wanted}", extra={"roles": [str(role) for role in roles]})


def system(merchant_id: str) -> Actor:
    """Sluice itself, acting for a merchant: timers, webhooks of gateways."""
    return Actor(SYSTEM, "Sluice", merchant_id, frozenset(Role))


def host_user(merchant_id: str) -> Actor:
    """Whoever runs a command on the host: everything they do names them."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())  # a container may run as a number that has no name
    return Actor(f"cli:{name}", name, merchant_id, frozenset(Role))
