"""A payment knows that somebody has asked to cancel it, so that no more money is moved for it by itself.

Safe while the former version runs: yes, it adds one column with a default, which the former version leaves alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("payments", sa.Column("cancel_reason", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("payments", "cancel_reason")
