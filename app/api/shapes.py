"""Schemas that more than one resource uses: a problem, a finding, an event."""

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from app.api.route import View


class FieldProblem(View):
    field: str = Field(description="Dotted path of the field, or the id of an element")
    message: str
    code: str


class Problem(View):
    """A failure as RFC 9457 describes it, with a stable `code` and what is needed to act on it."""

    type: str = Field(description="Address of a page that explains this kind of problem")
    title: str
    status: int
    code: str = Field(description="Stable; decide by this and not by the texts")
    detail: str
    trace_id: str = Field(description="Quote this when you ask about the failure")
    errors: list[FieldProblem] = Field(description="Empty where the failure is not about fields")


class Finding(View):
    """What the deployment gate says about one element of a diagram."""

    code: str
    severity: Literal["error", "warning"]
    element: str | None = None
    message: str
    remedy: str | None = None
    fixable: bool = Field(default=False, description="`sluice lint --fix` can correct it")


class EventView(View):
    """Something that happened; `data` is the object as it was then. `sequence` counts per object."""

    id: str
    object: Literal["event"] = "event"
    type: str
    object_id: str
    sequence: int
    timestamp: datetime
    data: dict[str, Any]
