"""where this database lies, times in which nothing is sent, and the archive of finished instances

Safe while the former version runs: yes, it only adds. Building the index on instances holds up writes to them for
about a second per million rows.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "installation",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("identity", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "holds",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=False), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("recovered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("findings", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("released_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("released_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_holds")),
    )
    open_only = sa.text("released_at IS NULL")
    op.create_index(
        "uq_holds_open", "holds", [sa.text("(released_at IS NULL)")], unique=True, postgresql_where=open_only
    )
    op.create_table(
        "journal_archive",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.Column("lines", postgresql.JSONB(), nullable=False),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"], name=op.f("fk_journal_archive_instance_id")),
        sa.PrimaryKeyConstraint("instance_id", name=op.f("pk_journal_archive")),
    )
    op.add_column("instances", sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_instances_to_archive",
        "instances",
        ["ended_at"],
        postgresql_where=sa.text("ended_at IS NOT NULL AND archived_at IS NULL"),
    )
    op.create_index("ix_messages_done", "messages", [sa.text("coalesce(delivered_at, expires_at)")])
    op.execute("""
        CREATE TRIGGER journal_archive_append_only BEFORE UPDATE OR DELETE ON journal_archive
        FOR EACH ROW EXECUTE FUNCTION sluice_refuse_change()
    """)
    # A line may leave the journal once the archive holds it, and never otherwise.
    op.execute("""
        CREATE FUNCTION sluice_journal_leaves_for_archive() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' AND EXISTS (
                SELECT FROM journal_archive WHERE instance_id = OLD.instance_id AND last_seq >= OLD.seq
            ) THEN
                RETURN OLD;
            END IF;
            RAISE EXCEPTION 'journal is append-only: % refused', TG_OP USING ERRCODE = 'restrict_violation';
        END $$
    """)
    op.execute("""
        CREATE OR REPLACE TRIGGER journal_append_only BEFORE UPDATE OR DELETE ON journal
        FOR EACH ROW EXECUTE FUNCTION sluice_journal_leaves_for_archive()
    """)


def downgrade() -> None:
    op.execute("""
        CREATE OR REPLACE TRIGGER journal_append_only BEFORE UPDATE OR DELETE ON journal
        FOR EACH ROW EXECUTE FUNCTION sluice_refuse_change()
    """)
    op.execute("DROP FUNCTION sluice_journal_leaves_for_archive()")
    op.drop_index("ix_messages_done", "messages")
    op.drop_index("ix_instances_to_archive", "instances")
    op.drop_column("instances", "archived_at")
    op.drop_table("journal_archive")
    op.drop_table("holds")
    op.drop_table("installation")
