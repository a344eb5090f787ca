"""How many workers in a row have lost the lease of an instance before it came to rest.

Safe while the former version runs: yes, it adds one column with a default, which the former version leaves alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("instances", sa.Column("deaths", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("instances", "deaths")
