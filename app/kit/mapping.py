"""Classes that are rows: the declarative base, and a session that lets some changes be written by others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, ClassVar

from sqlalchemy import DateTime, MetaData, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, InstanceState, Session, class_mapper
from sqlalchemy.orm.attributes import instance_state

Json = dict[str, Any]


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    # SQLAlchemy reads this attribute from the class; it is shared on purpose.
    type_annotation_map = {  # noqa: RUF012
        str: Text,
        datetime: DateTime(timezone=True),
        Json: JSONB(none_as_null=True),
        list[str]: JSONB(none_as_null=True),
    }
    #: Changes of its rows leave in the statement that writes what a transaction gathered, and not in one of their own.
    #: For small rows that change often: each is written whole.
    changes_gathered: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be written of one object: the columns of its key, and those that have changed."""

    model: type[Base]
    state: InstanceState[Any]
    key: Json
    columns: Json


class ChangesSession(Session):
    """What was gathered is written before anything else is, so whoever reads or refers to it finds it."""

    gathered: Callable[[], None] | None = None

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        if self.gathered is not None:
            self.gathered()
        super().flush(objects)

    def _save_or_update_state(self, state: InstanceState[Any]) -> None:
        """As the session takes an object in, but without looking for others: no class of ours has a relationship.

        The search goes over all columns of the object, and a turn takes in hundreds.
        """
        state._orphaned_outside_of_session = False  # noqa: SLF001 - as the session itself does it
        self._save_or_update_impl(state)

    def take_changes(self) -> list[Change]:
        """The changes that are to be gathered, in the order of their keys; to the session they are written.

        The session itself knows no order: with its own, rows would lie on the disk as addresses in memory have it.
        """
        if self.new or self.deleted:
            # The session knows in which order all of it has to be written.
            return []
        taken: list[Change] = []
        for changed in self.dirty:
            if isinstance(changed, Base) and changed.changes_gathered:
                state = instance_state(changed)
                taken.append(_change(type(changed), state))
                state._commit_all(state.dict, self.identity_map)  # noqa: SLF001 - as the session does after a flush
        return sorted(taken, key=_place)


@cache
def columns_of(model: type[Base]) -> Mapping[str, str]:
    """Every column by its attribute. Asking for the mapper makes it ready, should nothing have been mapped before."""
    return {key: str(column.name) for key, column in class_mapper(model).columns.items()}


def defaults_of(model: type[Base]) -> Json:
    """What each attribute is when nobody says so."""
    plain, made = _defaults(model)
    return {**plain, **{key: make(None) for key, make in made.items()}}


def _place(change: Change) -> tuple[str, ...]:
    return change.model.__name__, *map(str, change.key.values())


@cache
def _defaults(model: type[Base]) -> tuple[Json, Mapping[str, Callable[[None], Any]]]:
    """Those that are the same for every row, and how the others are made."""
    plain: Json = {}
    made: dict[str, Callable[[None], Any]] = {}
    for key, column in class_mapper(model).columns.items():
        default: Any = column.default
        if default is not None and default.is_callable:
            made[key] = default.arg
        else:
            plain[key] = default.arg if default is not None else None
    return plain, made


def _change(model: type[Base], state: InstanceState[Any]) -> Change:
    names, now, before = columns_of(model), state.dict, state.committed_state
    assert state.key is not None
    # Not read from the object, which forgets its key, too, when a part of its transaction is undone.
    key = {str(column.name): part for column, part in zip(class_mapper(model).primary_key, state.key[1], strict=True)}
    return Change(model, state, key, {names[one]: now[one] for one, was in before.items() if now[one] != was})
