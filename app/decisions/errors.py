"""A decision that cannot be deployed, and a decision that cannot be made."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.errors import AppError, FieldError


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one element of a diagram, and what to do about it. `element` is its id or name.

    `certain` is false where it may be right all the same.
    """

    code: str
    element: str
    message: str
    remedy: str
    certain: bool = True


class DmnError(AppError):
    """The XML is no decision model that can be run; `findings` names everything that is wrong with it."""

    code = "invalid_decision"
    title = "The decision model is not valid"
    status = 422

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        first = self.findings[0]
        more = f" (and {len(self.findings) - 1} more)" if len(self.findings) > 1 else ""
        super().__init__(
            f"{first.element}: {first.message} {first.remedy}{more}",
            errors=[FieldError(one.element, f"{one.message} {one.remedy}", one.code) for one in self.findings],
        )


class DecisionFailed(AppError):
    """A decision gave no usable answer for these variables; `decision` is its id, `rules` the rules that clash."""

    code = "decision_failed"
    title = "The decision could not be made"
    status = 422

    def __init__(self, decision: str, sentence: str, rules: Sequence[str] = ()) -> None:
        self.decision = decision
        self.sentence = sentence
        self.rules = tuple(rules)
        super().__init__(f'Decision "{decision}": {sentence}', extra={"decision": decision, "rules": list(rules)})
