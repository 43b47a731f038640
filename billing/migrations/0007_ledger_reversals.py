"""Entries that reverse others. SQLite makes the table anew for it, so its triggers have to be made again."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from billing.triggers import create_triggers, drop_triggers


def create(_apps, schema_editor):
    create_triggers(schema_editor.connection)


def drop(_apps, schema_editor):
    drop_triggers(schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0006_webhooks'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RunPython(drop, create),
        migrations.RemoveConstraint(
            model_name='ledgerentry',
            name='ledger_entry_kind_known',
        ),
        migrations.AddField(
            model_name='ledgerentry',
            name='reverses',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reversals', to='billing.ledgerentry'),
        ),
        migrations.AlterField(
            model_name='ledgerentry',
            name='kind',
            field=models.CharField(choices=[('top_up', 'Top-up'), ('redemption', 'Redemption'), ('usage', 'Usage'), ('refund', 'Refund'), ('adjustment', 'Adjustment'), ('grant', 'Grant'), ('expiry', 'Expiry'), ('import', 'Import'), ('reversal', 'Reversal')], max_length=12, verbose_name='kind'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['top_up', 'redemption', 'usage', 'refund', 'adjustment', 'grant', 'expiry', 'import', 'reversal'])), name='ledger_entry_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.UniqueConstraint(condition=models.Q(('reverses__isnull', False)), fields=('reverses',), name='ledger_entry_reversed_once'),
        ),
        migrations.AddConstraint(
            model_name='ledgerentry',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('kind', 'reversal'), ('reverses__isnull', False)), models.Q(models.Q(('kind', 'reversal'), _negated=True), ('reverses__isnull', True)), _connector='OR'), name='ledger_entry_reversal_names_entry'),
        ),
        migrations.RunPython(create, drop),
    ]
