"""Database triggers that let a table be added to and nothing else, for both databases."""

from dataclasses import dataclass

from django.db.backends.base.base import BaseDatabaseWrapper


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendOnly:
    """A table whose rows the database itself refuses to change or delete."""

    table: str
    prefix: str
    """Of the triggers' names."""
    function: str
    """What the triggers call on PostgreSQL."""
    message: str

    def protect(self, connection: BaseDatabaseWrapper) -> None:
        """Make the triggers; run by a migration."""
        _run(connection, self._sqlite() if connection.vendor == "sqlite" else self._postgresql())

    def unprotect(self, connection: BaseDatabaseWrapper) -> None:
        """Take them away: to undo the migration, and for tests that empty or damage their database."""
        if connection.vendor == "sqlite":
            names = [f"{self.prefix}_no_{change}" for change in ("update", "delete")]
            _run(connection, [f"DROP TRIGGER IF EXISTS {name}" for name in names])
        else:
            _run(connection, [f"DROP FUNCTION IF EXISTS {self.function}() CASCADE"])

    def _sqlite(self) -> list[str]:
        return [
            f"CREATE TRIGGER {self.prefix}_no_{change} BEFORE {change.upper()} ON {self.table}"
            f" BEGIN SELECT RAISE(ABORT, '{self.message}'); END"
            for change in ("update", "delete")
        ]

    def _postgresql(self) -> list[str]:
        return [
            f"""CREATE FUNCTION {self.function}() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN RAISE EXCEPTION '{self.message}' USING ERRCODE = 'integrity_constraint_violation';
                END $$""",
            f"""CREATE TRIGGER {self.prefix}_no_update BEFORE UPDATE OR DELETE ON {self.table}
                FOR EACH ROW EXECUTE FUNCTION {self.function}()""",
            f"""CREATE TRIGGER {self.prefix}_no_truncate BEFORE TRUNCATE ON {self.table}
                FOR EACH STATEMENT EXECUTE FUNCTION {self.function}()""",
        ]


def _run(connection: BaseDatabaseWrapper, statements: list[str]) -> None:
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
