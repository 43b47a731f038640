"""Rows that every batch of calls updates keep room on their page, so that updates stay there (PostgreSQL)."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

_TABLES = ("billing_quotaaccount", "billing_tokenquota", "billing_channeltotals")


def make_room(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for table in _TABLES:
            schema_editor.execute(f"ALTER TABLE {table} SET (fillfactor = 70)")


class Migration(migrations.Migration):
    dependencies = [("billing", "0002_ledger_append_only")]
    operations = [migrations.RunPython(make_room, migrations.RunPython.noop)]
