"""The ledger, the journal and the audit log are append-only, and every posting balances, by the database's word.

TRUNCATE stays possible: tests empty tables with it, and it needs the owner's rights.

Safe while the former version runs: yes, it never changed or deleted these rows.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

APPEND_ONLY = ("postings", "entries", "journal", "audit")


def upgrade() -> None:
    op.execute("""
        CREATE FUNCTION sluice_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
        END $$
    """)
    for table in APPEND_ONLY:
        op.execute(f"""
            CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}
            FOR EACH ROW EXECUTE FUNCTION sluice_refuse_change()
        """)
    op.execute("""
        CREATE FUNCTION sluice_posting_balances() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (
                SELECT 1 FROM entries WHERE posting_id = NEW.posting_id
                GROUP BY currency, layer HAVING sum(amount) <> 0
            ) THEN
                RAISE EXCEPTION 'posting % does not balance', NEW.posting_id USING ERRCODE = 'check_violation';
            END IF;
            RETURN NULL;
        END $$
    """)
    op.execute("""
        CREATE CONSTRAINT TRIGGER entries_balance AFTER INSERT ON entries
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION sluice_posting_balances()
    """)


def downgrade() -> None:
    op.execute("DROP TRIGGER entries_balance ON entries")
    op.execute("DROP FUNCTION sluice_posting_balances()")
    for table in APPEND_ONLY:
        op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
    op.execute("DROP FUNCTION sluice_refuse_change()")
