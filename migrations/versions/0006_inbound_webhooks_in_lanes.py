"""Webhooks of gateways are taken gateway by gateway, and those that could not be applied are shown.

Safe while the former version runs: yes, it only exchanges an index and adds one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_inbound_webhooks_lane",
        "inbound_webhooks",
        ["gateway", "due_at"],
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_index(
        "ix_inbound_webhooks_open",
        "inbound_webhooks",
        ["received_at"],
        postgresql_where=sa.text("status IN ('new', 'unmatched', 'parked')"),
    )
    op.drop_index("ix_inbound_webhooks_due", "inbound_webhooks")


def downgrade() -> None:
    op.create_index(
        "ix_inbound_webhooks_due", "inbound_webhooks", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL")
    )
    op.drop_index("ix_inbound_webhooks_open", "inbound_webhooks")
    op.drop_index("ix_inbound_webhooks_lane", "inbound_webhooks")
