"""Indexes that every call paid for and nobody read: those for LIKE, and single columns that begin another one.

SQLite changes a table by writing it anew, without its triggers: they are made again at the end.
"""

import django.db.models.deletion
from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from billing.triggers import create_triggers, drop_triggers


def drop(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    drop_triggers(schema_editor.connection)


def create(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    create_triggers(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [("billing", "0003_counter_fillfactor")]
    operations = [
        migrations.RunPython(drop, create),
        migrations.AlterField(
            model_name='hold',
            name='account',
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name='holds', to='billing.quotaaccount'),
        ),
        migrations.AlterField(
            model_name='hold',
            name='request_id',
            field=models.CharField(max_length=64),
        ),
        migrations.AlterField(
            model_name='ledgerentry',
            name='account',
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name='entries', to='billing.quotaaccount'),
        ),
        migrations.AlterField(
            model_name='ledgerentry',
            name='idempotency_key',
            field=models.CharField(max_length=128, null=True),
        ),
        migrations.AlterField(
            model_name='usagerecord',
            name='request_id',
            field=models.CharField(max_length=64),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.UniqueConstraint(fields=('request_id',), name='hold_request_id_unique'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.UniqueConstraint(condition=models.Q(('idempotency_key__isnull', False)), fields=('idempotency_key',), name='ledger_entry_idempotency_key_unique'),
        ),
        migrations.AddConstraint(
            model_name='usagerecord',
            constraint=models.UniqueConstraint(fields=('request_id',), name='usage_record_request_id_unique'),
        ),
        migrations.RunPython(create, drop),
    ]
