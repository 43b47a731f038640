"""Movements that a second operator has to approve: what is proposed and decided is only ever added."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from billing.triggers import protect_approvals, unprotect_approvals


def make_row(apps, _schema_editor):
    apps.get_model("billing", "ApprovalSettings").objects.get_or_create(pk=1)


def protect(_apps, schema_editor):
    protect_approvals(schema_editor.connection)


def unprotect(_apps, schema_editor):
    unprotect_approvals(schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0009_bulk_top_ups'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Proposal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('top_up', 'Top-up'), ('adjustment', 'Adjustment'), ('refund', 'Refund'), ('reversal', 'Reversal'), ('bulk_top_up', 'Bulk top-up'), ('bulk_undo', 'Undoing a bulk top-up')], max_length=12, verbose_name='kind')),
                ('amount', models.BigIntegerField(verbose_name='amount')),
                ('entry_count', models.PositiveIntegerField()),
                ('memo', models.CharField(blank=True, max_length=255, verbose_name='memo')),
                ('request', models.JSONField()),
                ('idempotency_key', models.CharField(max_length=128, null=True)),
                ('is_for_root', models.BooleanField()),
                ('created_at', models.DateTimeField(verbose_name='time')),
                ('expires_at', models.DateTimeField()),
                ('proposer', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('user', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='ApprovalSettings',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('threshold', models.BigIntegerField(null=True)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='approval_settings_single_row'), models.CheckConstraint(condition=models.Q(('threshold__isnull', True), ('threshold__gt', 0), _connector='OR'), name='approval_settings_threshold_positive')],
            },
        ),
        migrations.CreateModel(
            name='ApprovedEntry',
            fields=[
                ('entry', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='approval', serialize=False, to='billing.ledgerentry')),
                ('proposal', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='approved_entries', to='billing.proposal')),
            ],
        ),
        migrations.CreateModel(
            name='Decision',
            fields=[
                ('proposal', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, serialize=False, to='billing.proposal')),
                ('verdict', models.CharField(choices=[('approved', 'Approved'), ('rejected', 'Rejected'), ('withdrawn', 'Withdrawn')], max_length=9)),
                ('note', models.CharField(blank=True, max_length=255, verbose_name='note')),
                ('created_at', models.DateTimeField(verbose_name='time')),
                ('actor', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.AddIndex(
            model_name='proposal',
            index=models.Index(fields=['expires_at'], name='proposal_by_expiry'),
        ),
        migrations.AddConstraint(
            model_name='proposal',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['top_up', 'adjustment', 'refund', 'reversal', 'bulk_top_up', 'bulk_undo'])), name='proposal_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='proposal',
            constraint=models.CheckConstraint(condition=models.Q(('amount', 0), _negated=True), name='proposal_amount_not_zero'),
        ),
        migrations.AddConstraint(
            model_name='proposal',
            constraint=models.UniqueConstraint(condition=models.Q(('idempotency_key__isnull', False)), fields=('idempotency_key',), name='proposal_idempotency_key_unique'),
        ),
        migrations.AddConstraint(
            model_name='decision',
            constraint=models.CheckConstraint(condition=models.Q(('verdict__in', ['approved', 'rejected', 'withdrawn'])), name='decision_verdict_known'),
        ),
        migrations.RunPython(make_row, migrations.RunPython.noop),
        migrations.RunPython(protect, unprotect),
    ]
