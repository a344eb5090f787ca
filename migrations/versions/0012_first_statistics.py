"""What PostgreSQL assumes of payments before it has looked at them: few merchants, many cards and customers.

Without it every index that begins with the merchant seems as good as any other, and a house that fills up quickly counts
a card's payments by reading all of its merchant's, until the first ANALYZE puts what is true in this place.

Safe while the former version runs: yes, it changes nothing but plans.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for relation, column, distinct in (
        ("payments", "merchant_id", 10),
        ("payments", "method_fingerprint", -0.5),
        ("ix_payments_customer", "expr", -0.5),
    ):
        op.execute(f"""
            SELECT pg_restore_attribute_stats(
                'schemaname', CAST(current_schema() AS text), 'relname', '{relation}', 'attname', '{column}',
                'inherited', false, 'null_frac', 0::real, 'avg_width', 30, 'n_distinct', {distinct}::real
            ) WHERE NOT EXISTS (
                SELECT FROM pg_stats
                WHERE schemaname = current_schema() AND tablename = '{relation}' AND attname = '{column}'
            )
        """)  # noqa: S608 - our own tables


def downgrade() -> None:
    """Statistics are nobody's to take back."""
