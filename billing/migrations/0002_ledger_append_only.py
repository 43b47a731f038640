"""The database itself refuses to change or delete ledger entries; and the one row of ConfigVersion."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from billing.triggers import create_triggers, drop_triggers


def make_row(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("billing", "ConfigVersion").objects.get_or_create(pk=1)


def create(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    create_triggers(schema_editor.connection)


def drop(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    drop_triggers(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]
    operations = [
        migrations.RunPython(make_row, migrations.RunPython.noop),
        migrations.RunPython(create, drop),
    ]
