"""What starts published processes by itself: messages and moments.

Safe while the former version runs: yes, it only adds; the former version publishes nothing that starts by itself.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "occasions",
        sa.Column("definition_id", sa.Text(), nullable=False),
        sa.Column("merchant_id", sa.Text(), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("element", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("rounds_left", sa.Integer(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["definition_id"], ["definitions.id"], name=op.f("fk_occasions_definition_id")),
        sa.ForeignKeyConstraint(["merchant_id"], ["merchants.id"], name=op.f("fk_occasions_merchant_id")),
        sa.PrimaryKeyConstraint("definition_id", name=op.f("pk_occasions")),
        sa.UniqueConstraint("merchant_id", "process", name=op.f("uq_occasions_merchant_id_process")),
    )
    op.create_index(
        "uq_occasions_message",
        "occasions",
        ["merchant_id", "text"],
        unique=True,
        postgresql_where=sa.text("kind = 'message'"),
    )
    op.create_index("ix_occasions_due", "occasions", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL"))


def downgrade() -> None:
    op.drop_table("occasions")
