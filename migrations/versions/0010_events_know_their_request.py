"""The request that led to an event, so that its deliveries are on that request's trace.

Safe while the former version runs: yes, it adds one column with a default, which the former version leaves alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("events", sa.Column("trace", sa.Text(), server_default="", nullable=False))


def downgrade() -> None:
    op.drop_column("events", "trace")
