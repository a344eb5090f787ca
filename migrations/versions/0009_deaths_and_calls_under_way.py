"""How many workers in a row have lost the lease of an instance before it came to rest; and the calls that a version
before 0008 has under way, from its rows of `waits` into the instances' own.

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
    # Who takes such an instance over must know that its calls may have been made.
    op.execute("""
        UPDATE instances SET calls = open.calls FROM (
            SELECT instance_id, jsonb_object_agg(node, element) AS calls FROM waits WHERE kind = 'call' GROUP BY instance_id
        ) open WHERE open.instance_id = instances.id AND instances.calls = '{}'
    """)


def downgrade() -> None:
    op.drop_column("instances", "deaths")
