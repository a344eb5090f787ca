"""The engine's tables, which no other room writes."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.kit.database import Base, Json


class Definition(Base):
    """One immutable deployed version of a process, a decision or a form.

    `key` is the process id, the DMN model's id or the form id. `content` never changes after insert; `status` goes
    draft -> published -> retired, and at most one version of a key is published per merchant.
    """

    __tablename__ = "definitions"
    __table_args__ = (
        UniqueConstraint("merchant_id", "kind", "key", "version"),
        UniqueConstraint("merchant_id", "kind", "key", "content_hash"),
        Index(
            "uq_definitions_published",
            "merchant_id",
            "kind",
            "key",
            unique=True,
            postgresql_where=text("status = 'published'"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    kind: Mapped[str]  # bpmn, dmn, form
    key: Mapped[str]
    version: Mapped[int]
    name: Mapped[str]
    status: Mapped[str]
    content: Mapped[bytes] = mapped_column(LargeBinary)
    content_hash: Mapped[str]
    file_name: Mapped[str]
    uses: Mapped[Json]  # {"processes": [...], "decisions", "forms", "operations", "lingering"}, or {"defines": [...]}
    warnings: Mapped[Json]  # {"findings": [...]} the gate let pass
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    published_by: Mapped[str | None]
    published_at: Mapped[datetime | None]


class Instance(Base):
    """One running (or ended) definition. Only the holder of the lease advances it; `fence` rises with every save.

    `due_at` is when somebody should look at it next: now for new work, the next timer otherwise, NULL when only the
    outside world can move it. `pins` maps every definition it may touch to its id, fixed when it started.
    """

    __tablename__ = "instances"
    __table_args__ = (
        Index("ix_instances_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_instances_merchant_due", "merchant_id", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_instances_lease", "lease_until", postgresql_where=text("lease_until IS NOT NULL")),
        Index("ix_instances_subject", "subject"),
        Index("ix_instances_merchant_created", "merchant_id", "created_at"),
        Index(
            "ix_instances_to_archive",
            "ended_at",
            postgresql_where=text("ended_at IS NOT NULL AND archived_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    definition_id: Mapped[str] = mapped_column(ForeignKey("definitions.id"), index=True)
    process: Mapped[str]
    version: Mapped[int]
    subject: Mapped[str]  # pay_, ref_, dis_ id, or the instance's own id
    status: Mapped[str]
    pins: Mapped[Json]
    variables: Mapped[Json]  # the start variables, and the final ones once ended
    state: Mapped[bytes | None] = mapped_column(LargeBinary)
    journal_seq: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None]
    lease_until: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    failures: Mapped[int] = mapped_column(default=0)
    #: Workers in a row that lost its lease, most likely by ending, before it came to rest.
    deaths: Mapped[int] = mapped_column(default=0, server_default="0")
    last_error: Mapped[str | None]
    trace: Mapped[str] = mapped_column(default="", server_default="")  # the request that started it
    calls: Mapped[Json] = mapped_column(default=dict, server_default="{}")  # {node: element} of calls under way
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    archived_at: Mapped[datetime | None]  # when its history moved to `journal_archive`


class InboxItem(Base):
    """Something that happened to an instance and was not yet taken in. Removed in the transaction that takes it in.

    `dedupe` makes a repeated arrival (the same message, the same task decision) a row that already exists.
    """

    __tablename__ = "inbox"
    __table_args__ = (UniqueConstraint("instance_id", "dedupe"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    instance_id: Mapped[str] = mapped_column(ForeignKey("instances.id"))
    kind: Mapped[str]
    node: Mapped[str]
    payload: Mapped[Json]
    actor: Mapped[str]
    dedupe: Mapped[str]
    trace: Mapped[str] = mapped_column(default="", server_default="")  # the request it came with
    created_at: Mapped[datetime]


class WaitRow(Base):
    """Why an instance rests, one row per open wait: timers, message subscriptions and tasks.

    Calls under way are a column of the instance, which is written at each of them anyway.
    """

    __tablename__ = "waits"
    __table_args__ = (
        UniqueConstraint("instance_id", "node", "kind"),
        Index(
            "ix_waits_subscription",
            "merchant_id",
            "message",
            "correlation",
            postgresql_where=text("kind = 'message'"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    instance_id: Mapped[str] = mapped_column(ForeignKey("instances.id"))
    merchant_id: Mapped[str]
    node: Mapped[str]
    element: Mapped[str]
    kind: Mapped[str]
    due_at: Mapped[datetime | None]
    message: Mapped[str]
    correlation: Mapped[str]
    created_at: Mapped[datetime]


class Message(Base):
    """A message addressed by name and correlation. It is kept until somebody waits for it or `expires_at` passes."""

    __tablename__ = "messages"
    __table_args__ = (
        UniqueConstraint("merchant_id", "name", "correlation", "dedupe"),
        Index(
            "ix_messages_buffered",
            "merchant_id",
            "name",
            "correlation",
            postgresql_where=text("delivered_to IS NULL"),
        ),
        Index("ix_messages_done", text("coalesce(delivered_at, expires_at)")),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    merchant_id: Mapped[str]
    name: Mapped[str]
    correlation: Mapped[str]
    dedupe: Mapped[str]
    variables: Mapped[Json]
    actor: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    delivered_to: Mapped[str | None]
    delivered_at: Mapped[datetime | None]


class Task(Base):
    """A human task. `excluded` are user ids the diagram forbids (four eyes); the engine refuses them, not the page."""

    __tablename__ = "tasks"
    __table_args__ = (
        UniqueConstraint("instance_id", "node"),
        Index("ix_tasks_open", "merchant_id", "due_at", postgresql_where=text("status IN ('open', 'claimed')")),
        Index("ix_tasks_subject", "subject"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    instance_id: Mapped[str] = mapped_column(ForeignKey("instances.id"))
    process: Mapped[str]
    element: Mapped[str]
    node: Mapped[str]
    name: Mapped[str]
    subject: Mapped[str]
    status: Mapped[str]  # open, claimed, completed, canceled
    candidate_groups: Mapped[list[str]]
    excluded: Mapped[list[str]]
    assignee: Mapped[str | None]
    claimed_at: Mapped[datetime | None]
    claim_until: Mapped[datetime | None]
    form_id: Mapped[str]  # the definition id of the form, pinned with the instance
    facts: Mapped[Json]
    priority: Mapped[int]
    due_at: Mapped[datetime | None]
    decision: Mapped[str | None]
    reason: Mapped[str | None]
    note: Mapped[str | None]
    data: Mapped[Json | None]
    completed_by: Mapped[str | None]
    created_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]


class Incident(Base):
    """An element that cannot go on by itself. It stays until somebody repairs it; the instance keeps its place."""

    __tablename__ = "incidents"
    __table_args__ = (
        Index("uq_incidents_open", "instance_id", "node", unique=True, postgresql_where=text("status = 'open'")),
        Index("ix_incidents_merchant", "merchant_id", "created_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    instance_id: Mapped[str] = mapped_column(ForeignKey("instances.id"))
    subject: Mapped[str]
    node: Mapped[str]
    element: Mapped[str]
    source: Mapped[str]  # engine: the runner stopped there; domain: money says something the flow does not know
    kind: Mapped[str]
    message: Mapped[str]
    details: Mapped[Json]
    status: Mapped[str]  # open, resolved
    resolved_by: Mapped[str | None]
    resolved_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class JournalRow(Base):
    """One line of an instance's history, append-only, kept for ever; enough to redraw its path.

    It may lie in a page, and long after the end in the archive: read history through `archive.lines`.
    """

    __tablename__ = "journal"

    instance_id: Mapped[str] = mapped_column(ForeignKey("instances.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    kind: Mapped[str]
    element: Mapped[str]
    node: Mapped[str]
    process: Mapped[str]
    scope: Mapped[str]
    actor: Mapped[str]
    facts: Mapped[Json]


class JournalPage(Base):
    """The lines of history that one save wrote, append-only; `seq` is that of the last one.

    A line is a JournalRow without what its place tells and without what is empty. There is no foreign key: pages are
    written in the transaction that writes the instance, and a check for each would cost as much as the page.
    """

    __tablename__ = "journal_pages"

    instance_id: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    lines: Mapped[list[Json]] = mapped_column(JSONB)


class Occasion(Base):
    """What starts a published process by itself: a message, or a moment. Gone when the version is replaced or retired.

    `text` is the message's name, the date, or the repeating interval; `rounds_left` None for no end and for a message.
    """

    __tablename__ = "occasions"
    __table_args__ = (
        UniqueConstraint("merchant_id", "process"),
        Index("uq_occasions_message", "merchant_id", "text", unique=True, postgresql_where=text("kind = 'message'")),
        Index("ix_occasions_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )

    definition_id: Mapped[str] = mapped_column(ForeignKey("definitions.id"), primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    process: Mapped[str]
    element: Mapped[str]
    kind: Mapped[str]  # message, timer
    text: Mapped[str]
    rounds_left: Mapped[int | None]
    due_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class Migration(Base):
    """One command that moves running instances of a process from one version to another, with a Move for each."""

    __tablename__ = "migrations"
    __table_args__ = (Index("ix_migrations_merchant_created", "merchant_id", "created_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    merchant_id: Mapped[str] = mapped_column(ForeignKey("merchants.id"))
    process: Mapped[str]
    from_id: Mapped[str] = mapped_column(ForeignKey("definitions.id"))
    to_id: Mapped[str] = mapped_column(ForeignKey("definitions.id"))
    mapping: Mapped[Json]  # element id of the old version -> of the new one
    plan: Mapped[Json]  # {"before": {element: waits}, "after": {...}, "left_out": instances beyond the limit}
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    undone_by: Mapped[str | None]
    undone_at: Mapped[datetime | None]


class Move(Base):
    """One instance in a migration. `fence` is the instance's when it was planned, and then what the move left.

    `before` and `state` are what it was, kept until the move is undone or cannot be undone any more.
    """

    __tablename__ = "moves"
    __table_args__ = (
        Index("ix_moves_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
        Index("ix_moves_instance", "instance_id"),
    )

    migration_id: Mapped[str] = mapped_column(ForeignKey("migrations.id"), primary_key=True)
    instance_id: Mapped[str] = mapped_column(ForeignKey("instances.id"), primary_key=True)
    status: Mapped[str]  # pending, moved, skipped, undoing, undone, kept
    reasons: Mapped[Json]  # {"reasons": [{"code", "element", "message"}]} why it was skipped, or kept by an undo
    fence: Mapped[int] = mapped_column(BigInteger)
    before: Mapped[Json | None]  # {"definition_id", "version", "pins", "since", "nodes", "journal_seq"}
    state: Mapped[bytes | None] = mapped_column(LargeBinary)
    due_at: Mapped[datetime | None]
    at: Mapped[datetime | None]


class ArchivedJournal(Base):
    """The whole history of one instance that ended long ago, as PostgreSQL compresses it; append-only."""

    __tablename__ = "journal_archive"

    instance_id: Mapped[str] = mapped_column(ForeignKey("instances.id"), primary_key=True)
    last_seq: Mapped[int]
    lines: Mapped[list[Json]] = mapped_column(JSONB)
