"""What may be asked about disputes from outside."""

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from app.payments.commands import Command, LongText

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.]{0,59}$")]


def _some(facts: dict[str, str]) -> dict[str, str]:
    if not 0 < len(facts) <= 50:
        raise ValueError("must hold 1 to 50 facts")
    return facts


class PutEvidence(Command):
    """`POST /v1/disputes/{id}/evidence`: facts by name. A fact sent again replaces the one before; empty removes it."""

    evidence: Annotated[dict[Name, LongText], AfterValidator(_some)] = Field(description="Facts by name")
