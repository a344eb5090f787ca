"""migrations of running instances, and what each move can be taken back to

Safe while the former version runs: yes, it only adds tables.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "migrations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("from_id", sa.Text(), nullable=False),
        sa.Column("to_id", sa.Text(), nullable=False),
        sa.Column("mapping", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.Column("plan", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("undone_by", sa.Text(), nullable=True),
        sa.Column("undone_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_migrations_merchant_id")),
        sa.ForeignKeyConstraint(["from_id"], ["definitions.id"], name=op.f("fk_migrations_from_id")),
        sa.ForeignKeyConstraint(["to_id"], ["definitions.id"], name=op.f("fk_migrations_to_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_migrations")),
    )
    op.create_index("ix_migrations_merchant_created", "migrations", ["merchant_id", "created_at"])
    op.create_table(
        "moves",
        sa.Column("migration_id", sa.Text(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reasons", postgresql.JSONB(none_as_null=True), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("before", postgresql.JSONB(none_as_null=True), nullable=True),
        sa.Column("state", sa.LargeBinary(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["migration_id"], ["migrations.id"], name=op.f("fk_moves_migration_id")),
        sa.ForeignKeyConstraint(["instance_id"], ["instances.id"], name=op.f("fk_moves_instance_id")),
        sa.PrimaryKeyConstraint("migration_id", "instance_id", name=op.f("pk_moves")),
    )
    op.create_index("ix_moves_due", "moves", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL"))
    op.create_index("ix_moves_instance", "moves", ["instance_id"])


def downgrade() -> None:
    op.drop_table("moves")
    op.drop_table("migrations")
