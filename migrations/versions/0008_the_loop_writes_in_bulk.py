"""History in pages, calls under way in the instance's own row, and room in the pages of rows that change often.

Safe while the former version runs: yes, it only adds. The former version does not show what the new one wrote into
pages, and what it writes itself is read by both. Building the index on attempts holds up writes to them for about a
second per million rows.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

#: Rows that change several times in their first second stay in their page, and their indexes are left alone.
ROOMY = {"instances": 50, "payments": 60, "attempts": 60}


def upgrade() -> None:
    op.create_table(
        "journal_pages",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lines", postgresql.JSONB(), nullable=False),
        sa.PrimaryKeyConstraint("instance_id", "seq", name=op.f("pk_journal_pages")),
    )
    op.execute("""
        CREATE TRIGGER journal_pages_append_only BEFORE UPDATE OR DELETE ON journal_pages
        FOR EACH ROW EXECUTE FUNCTION sluice_journal_leaves_for_archive()
    """)
    op.add_column(
        "instances", sa.Column("calls", postgresql.JSONB(none_as_null=True), server_default="{}", nullable=False)
    )
    # An attempt has no reference before the gateway answers; most of an index of such rows would say nothing.
    op.drop_index("ix_attempts_gateway_reference", "attempts")
    told = sa.text("gateway_reference <> ''")
    columns = ["gateway", "gateway_reference"]
    op.create_index("ix_attempts_gateway_reference", "attempts", columns, postgresql_where=told)
    for table, percent in ROOMY.items():
        op.execute(f"ALTER TABLE {table} SET (fillfactor = {percent})")


def downgrade() -> None:
    for table in ROOMY:
        op.execute(f"ALTER TABLE {table} RESET (fillfactor)")
    op.drop_index("ix_attempts_gateway_reference", "attempts")
    op.create_index("ix_attempts_gateway_reference", "attempts", ["gateway", "gateway_reference"])
    op.drop_column("instances", "calls")
    op.drop_table("journal_pages")
