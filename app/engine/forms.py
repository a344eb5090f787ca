"""The form of a user task: the fields a person fills in, the decisions on offer and the reasons that go with them.

A form is a versioned file beside the diagram (`*.form.json`); the desk draws it, the engine checks answers with it.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from app.errors import FieldError
from app.kit.database import Json

MAX_BYTES = 100_000
MAX_TEXT = 4000
MAX_NUMBER = 10**18

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]
Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,99}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Option(_Part):
    value: Key
    label: Text
    label_zh: Text | None = None


class FormField(_Part):
    """One thing to fill in; a `select` offers `options`, which may be written as plain texts."""

    name: Name
    label: Text
    label_zh: Text | None = None
    type: Literal["text", "number", "select", "date", "boolean", "textarea"] = "text"
    options: list[Option] = Field(default_factory=list, max_length=100)
    required: bool = False

    @model_validator(mode="before")
    @classmethod
    def _plain_options(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("options"), list):
            options = [{"value": item, "label": item} if isinstance(item, str) else item for item in values["options"]]
            return {**values, "options": options}
        return values

    @model_validator(mode="after")
    def _options_of_a_select(self) -> Self:
        if (self.type == "select") != bool(self.options):
            raise ValueError(f"options of {self.name}: give them to a select field and to no other")
        _unique(f"options of {self.name}", [option.value for option in self.options])
        return self


class FormDecision(_Part):
    """One button. `consequence` says what pressing it does; `{amount}` and other facts are filled in."""

    value: Name
    label: Text
    label_zh: Text | None = None
    tone: Literal["positive", "negative", "neutral"] = "neutral"
    consequence: Text | None = None
    consequence_zh: Text | None = None
    reason_required: bool = False
    note_required: bool = False


class FormReason(_Part):
    """Why somebody decided so; it may be given with `decisions`, with any of them when the list is empty."""

    value: Name
    label: Text
    label_zh: Text | None = None
    decisions: list[Name] = Field(default_factory=list)


class Form(_Part):
    id: Key
    title: Text
    title_zh: Text | None = None
    fields: list[FormField] = Field(default_factory=list, max_length=50)
    decisions: list[FormDecision] = Field(min_length=1, max_length=12)
    reasons: list[FormReason] = Field(default_factory=list, max_length=50)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _unique("fields", [field.name for field in self.fields])
        _unique("decisions", [decision.value for decision in self.decisions])
        _unique("reasons", [reason.value for reason in self.reasons])
        known = {decision.value for decision in self.decisions}
        for reason in self.reasons:
            for name in reason.decisions:
                if name not in known:
                    raise ValueError(f"reasons: {reason.value} belongs to the decision {name!r}, which is not there")
        for decision in self.decisions:
            if decision.reason_required and not self.reasons_for(decision.value):
                raise ValueError(f"decisions: {decision.value} requires a reason, but no reason may be given with it")
        return self

    def clean(self, data: Mapping[str, Any]) -> tuple[Json, list[FieldError]]:
        """The filled-in fields in their types, and what is wrong with them; empty optional fields are left out."""
        known = {field.name: field for field in self.fields}
        errors = [FieldError(f"data.{name}", "is not a field of the form") for name in data if name not in known]
        cleaned: Json = {}
        for name, field in known.items():
            value = data.get(name)
            if value is None or value == "":
                if field.required:
                    errors.append(FieldError(f"data.{name}", "is required"))
                continue
            try:
                cleaned[name] = _CLEAN[field.type](field, value)
            except ValueError as error:
                errors.append(FieldError(f"data.{name}", str(error)))
        return cleaned, errors

    def decision(self, value: str) -> FormDecision | None:
        return next((decision for decision in self.decisions if decision.value == value), None)

    def lost_to(self, other: "Form") -> list[str]:
        """What a person who has this form open could have filled in or pressed that `other` no longer takes."""
        fields = {field.name: field for field in other.fields}
        decisions = {decision.value for decision in other.decisions}
        reasons = {reason.value for reason in other.reasons}
        lost = [f"the field {one.name}" for one in self.fields if not _takes(fields.get(one.name), one)]
        lost += [f"the decision {one.value}" for one in self.decisions if one.value not in decisions]
        return lost + [f"the reason {one.value}" for one in self.reasons if one.value not in reasons]

    def reasons_for(self, decision: str) -> list[FormReason]:
        return [reason for reason in self.reasons if not reason.decisions or decision in reason.decisions]


def read_form(content: bytes) -> tuple[Form | None, list[tuple[str, str]]]:
    """The form, or what is wrong with it as (dotted place, sentence) pairs."""
    if len(content) > MAX_BYTES:
        return None, [("form", f"The form has {len(content):,} bytes, more than the {MAX_BYTES:,} allowed")]
    try:
        return Form.model_validate_json(content), []
    except ValidationError as error:
        return None, [
            (".".join(str(part) for part in item["loc"]) or "form", item["msg"].removeprefix("Value error, "))
            for item in error.errors(include_url=False, include_context=False, include_input=False)[:20]
        ]


def _takes(field: FormField | None, former: FormField) -> bool:
    """Whether every value of `former` is one of `field`."""
    if field is None or field.type != former.type:
        return False
    return {option.value for option in former.options} <= {option.value for option in field.options}


def _clean_text(_: FormField, value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        raise ValueError(f"must be a text of at most {MAX_TEXT} characters")
    return value


def _clean_number(_: FormField, value: Any) -> int | str:
    """Whole numbers as they are, others as exact decimal text, as the engine keeps them."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise ValueError("must be a number") from None
    if isinstance(value, bool) or not number.is_finite() or not -MAX_NUMBER <= number <= MAX_NUMBER:
        raise ValueError("must be a number")
    return int(number) if number == number.to_integral_value() else str(number)


def _clean_select(field: FormField, value: Any) -> str:
    if not isinstance(value, str) or value not in {option.value for option in field.options}:
        raise ValueError("is not one of the options")
    return value


def _clean_date(_: FormField, value: Any) -> str:
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise ValueError("must be a date such as 2026-05-31") from None


def _clean_boolean(_: FormField, value: Any) -> bool:
    known = {True: True, False: False, "true": True, "false": False, "on": True}
    if not isinstance(value, bool | str) or value not in known:
        raise ValueError("must be true or false")
    return known[value]


_CLEAN: Mapping[str, Callable[[FormField, Any], Any]] = {
    "text": _clean_text,
    "textarea": _clean_text,
    "number": _clean_number,
    "select": _clean_select,
    "date": _clean_date,
    "boolean": _clean_boolean,
}


def _unique(what: str, names: list[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise ValueError(f"{what}: {name!r} is there {count} times")
