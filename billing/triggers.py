"""Database triggers that keep the ledger append-only, for both databases."""

from django.db.backends.base.base import BaseDatabaseWrapper

_CREATE = {
    "sqlite": [
        """CREATE TRIGGER ledger_entry_no_update BEFORE UPDATE ON billing_ledgerentry
           BEGIN SELECT RAISE(ABORT, 'ledger entries are append-only'); END""",
        """CREATE TRIGGER ledger_entry_no_delete BEFORE DELETE ON billing_ledgerentry
           BEGIN SELECT RAISE(ABORT, 'ledger entries are append-only'); END""",
    ],
    "postgresql": [
        """CREATE FUNCTION billing_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN RAISE EXCEPTION 'ledger entries are append-only'
             USING ERRCODE = 'integrity_constraint_violation';
           END $$""",
        """CREATE TRIGGER ledger_entry_no_update BEFORE UPDATE OR DELETE ON billing_ledgerentry
           FOR EACH ROW EXECUTE FUNCTION billing_refuse_change()""",
        """CREATE TRIGGER ledger_entry_no_truncate BEFORE TRUNCATE ON billing_ledgerentry
           FOR EACH STATEMENT EXECUTE FUNCTION billing_refuse_change()""",
    ],
}
_DROP = {
    "sqlite": [
        "DROP TRIGGER IF EXISTS ledger_entry_no_update",
        "DROP TRIGGER IF EXISTS ledger_entry_no_delete",
    ],
    "postgresql": ["DROP FUNCTION IF EXISTS billing_refuse_change() CASCADE"],
}


def create_triggers(connection: BaseDatabaseWrapper) -> None:
    """Protect the ledger; run by a migration."""
    _run(connection, _CREATE[connection.vendor])


def drop_triggers(connection: BaseDatabaseWrapper) -> None:
    """Take the protection away: to undo the migration, and for tests that empty their database."""
    _run(connection, _DROP[connection.vendor])


def _run(connection: BaseDatabaseWrapper, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
