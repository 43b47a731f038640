"""Batches with terms, codes with several uses, and a row for every redemption.

Codes from before had no check symbol, and their hashes are of another text: those that were not redeemed can
never be, and their batches are revoked. There is no way back.
"""

import django.core.validators
import django.db.models.deletion
from django.apps.registry import Apps
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from redemption.triggers import protect_redemptions, unprotect_redemptions


def carry_over(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    batches, codes = (apps.get_model("redemption", name) for name in ("CodeBatch", "RedemptionCode"))
    redemptions, days = (apps.get_model("redemption", name) for name in ("Redemption", "BatchDay"))
    entries = apps.get_model("billing", "LedgerEntry").objects.filter(kind="redemption")
    entry_of = dict(entries.values_list("reference", "pk"))
    for code in codes.objects.order_by("pk").iterator():
        code.digest_bytes = bytes.fromhex(code.digest)
        if code.status == "used":
            code.used_count = 1
            redemptions.objects.create(
                code=code,
                number=1,
                batch_id=code.batch_id,
                user_id=code.redeemed_by_id,
                entry_id=entry_of[f"code:{code.pk}"],
                created_at=code.redeemed_at,
            )
            day, _is_new = days.objects.get_or_create(
                batch_id=code.batch_id, day=code.redeemed_at.date(), shard=0
            )
            day.redeemed_count += 1
            day.used_count += 1
            day.save()
        else:
            code.status = "disabled"
        code.save()
    for batch in batches.objects.iterator():
        own = codes.objects.filter(batch=batch)
        disabled = own.filter(status="disabled").count()
        ends = own.aggregate(first=models.Min("pk"), last=models.Max("pk"))
        batch.first_code_id, batch.last_code_id = ends["first"], ends["last"]
        batch.status, batch.ready_at, batch.downloaded_at = "revoked", batch.created_at, batch.created_at
        batch.disabled_count = batch.disabled_uses = disabled
        batch.save()


def protect(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    protect_redemptions(schema_editor.connection)


def unprotect(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    unprotect_redemptions(schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0010_approvals'),
        ('redemption', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='BatchDay',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('shard', models.PositiveSmallIntegerField()),
                ('redeemed_count', models.BigIntegerField(default=0)),
                ('used_count', models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name='Redemption',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('created_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='SealedCodes',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('content', models.BinaryField()),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='redemptioncode',
            name='redemption_code_quota_positive',
        ),
        migrations.RemoveConstraint(
            model_name='redemptioncode',
            name='redemption_code_used_has_redeemer',
        ),
        migrations.AddField(
            model_name='codebatch',
            name='disabled_count',
            field=models.PositiveIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='codebatch',
            name='disabled_uses',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='codebatch',
            name='downloaded_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='codebatch',
            name='failure',
            field=models.CharField(blank=True, max_length=255),
        ),
        migrations.AddField(
            model_name='codebatch',
            name='group',
            field=models.CharField(blank=True, max_length=32, validators=[django.core.validators.RegexValidator('^[a-z0-9_-]{1,32}\\Z', 'Use small letters, digits, - and _ only, at most 32.')], verbose_name='only for the group'),
        ),
        migrations.AddField(
            model_name='codebatch',
            name='is_once_per_user',
            field=models.BooleanField(default=False, verbose_name='one code of the batch a person'),
        ),
        migrations.AddField(
            model_name='codebatch',
            name='note',
            field=models.CharField(blank=True, max_length=255, verbose_name='note'),
        ),
        migrations.AddField(
            model_name='codebatch',
            name='ready_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='codebatch',
            name='first_code_id',
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='codebatch',
            name='last_code_id',
            field=models.BigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='codebatch',
            name='sealed_until',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='codebatch',
            name='status',
            field=models.CharField(choices=[('creating', 'Being made'), ('ready', 'Ready'), ('disabled', 'Disabled'), ('revoked', 'Revoked'), ('cancelled', 'Cancelled'), ('failed', 'Failed')], default='creating', max_length=9),
        ),
        migrations.AddField(
            model_name='codebatch',
            name='tag',
            field=models.CharField(blank=True, max_length=32, verbose_name='tag'),
        ),
        migrations.AddField(
            model_name='codebatch',
            name='uses_per_code',
            field=models.PositiveIntegerField(default=1, verbose_name='uses of each code'),
        ),
        migrations.AddField(
            model_name='codebatch',
            name='uses_per_user',
            field=models.PositiveIntegerField(default=1, verbose_name='uses of a code by one person'),
        ),
        migrations.AddField(
            model_name='codebatch',
            name='valid_from',
            field=models.DateTimeField(blank=True, null=True, verbose_name='valid from'),
        ),
        migrations.AddField(
            model_name='codebatch',
            name='valid_until',
            field=models.DateTimeField(blank=True, null=True, verbose_name='valid until'),
        ),
        migrations.AddField(
            model_name='redemptioncode',
            name='used_count',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name='codebatch',
            name='created_by',
            field=models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='redemptioncode',
            name='batch',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='codes', to='redemption.codebatch'),
        ),
        migrations.AlterField(
            model_name='redemptioncode',
            name='redeemed_by',
            field=models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AlterField(
            model_name='redemptioncode',
            name='status',
            field=models.CharField(choices=[('enabled', 'Unused'), ('disabled', 'Disabled'), ('used', 'Used')], db_default='enabled', default='enabled', max_length=8),
        ),
        migrations.AddField(
            model_name='redemption',
            name='batch',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='redemptions', to='redemption.codebatch'),
        ),
        migrations.AddField(
            model_name='redemption',
            name='code',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='redemptions', to='redemption.redemptioncode'),
        ),
        migrations.AddField(
            model_name='redemption',
            name='entry',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='redemptions', to='billing.ledgerentry'),
        ),
        migrations.AddField(
            model_name='redemption',
            name='user',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='redemptions', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='batchday',
            name='batch',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='days', to='redemption.codebatch'),
        ),
        migrations.AddField(
            model_name='sealedcodes',
            name='batch',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='sealed', to='redemption.codebatch'),
        ),
        migrations.AddField(
            model_name='redemptioncode',
            name='digest_bytes',
            field=models.BinaryField(null=True),
        ),
        migrations.RunPython(carry_over),
        migrations.RemoveField(
            model_name='redemptioncode',
            name='digest',
        ),
        migrations.RenameField(
            model_name='redemptioncode',
            old_name='digest_bytes',
            new_name='digest',
        ),
        migrations.AlterField(
            model_name='redemptioncode',
            name='digest',
            field=models.BinaryField(),
        ),
        migrations.RemoveField(
            model_name='redemptioncode',
            name='quota',
        ),
        migrations.AddIndex(
            model_name='codebatch',
            index=models.Index(fields=['status', '-id'], name='code_batch_by_status'),
        ),
        migrations.AddIndex(
            model_name='codebatch',
            index=models.Index(fields=['tag', '-id'], name='code_batch_by_tag'),
        ),
        migrations.AddIndex(
            model_name='codebatch',
            index=models.Index(condition=models.Q(('sealed_until__isnull', False)), fields=['sealed_until'], name='code_batch_by_seal'),
        ),
        migrations.AddIndex(
            model_name='redemptioncode',
            index=models.Index(fields=['batch', 'status', '-id'], name='redemption_code_by_status'),
        ),
        migrations.RemoveIndex(
            model_name='redemptioncode',
            name='redemption_code_by_batch',
        ),
        migrations.AddIndex(
            model_name='redemptioncode',
            index=models.Index(condition=models.Q(('redeemed_at__isnull', False)), fields=['hint', '-id'], name='redemption_code_by_hint'),
        ),
        migrations.AddIndex(
            model_name='redemption',
            index=models.Index(fields=['batch', 'created_at', 'id'], name='redemption_by_batch'),
        ),
        migrations.AddIndex(
            model_name='redemption',
            index=models.Index(fields=['user', 'created_at', 'id'], name='redemption_by_user'),
        ),
        migrations.AddIndex(
            model_name='redemption',
            index=models.Index(fields=['user', 'batch'], name='redemption_by_user_and_batch'),
        ),
        migrations.AddIndex(
            model_name='redemption',
            index=models.Index(fields=['created_at', 'id'], name='redemption_by_time'),
        ),
        migrations.AddConstraint(
            model_name='codebatch',
            constraint=models.CheckConstraint(condition=models.Q(('uses_per_code__gte', models.F('uses_per_user')), ('uses_per_user__gt', 0)), name='code_batch_uses_positive'),
        ),
        migrations.AddConstraint(
            model_name='codebatch',
            constraint=models.CheckConstraint(condition=models.Q(('valid_from__isnull', True), ('valid_until__isnull', True), ('valid_until__gt', models.F('valid_from')), _connector='OR'), name='code_batch_validity_in_order'),
        ),
        migrations.AddConstraint(
            model_name='redemptioncode',
            constraint=models.UniqueConstraint(fields=('digest',), name='redemption_code_digest_unique'),
        ),
        migrations.AddConstraint(
            model_name='redemptioncode',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('redeemed_at__isnull', True), ('redeemed_by__isnull', True), ('used_count', 0)), models.Q(('redeemed_at__isnull', False), ('redeemed_by__isnull', False), ('used_count__gt', 0)), _connector='OR'), name='redemption_code_used_has_redeemer'),
        ),
        migrations.AddConstraint(
            model_name='redemptioncode',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status', 'used'), _negated=True), ('used_count__gt', 0), _connector='OR'), name='redemption_code_used_was_redeemed'),
        ),
        migrations.AddConstraint(
            model_name='batchday',
            constraint=models.UniqueConstraint(fields=('batch', 'day', 'shard'), name='batch_day_unique'),
        ),
        migrations.AddConstraint(
            model_name='redemption',
            constraint=models.UniqueConstraint(fields=('code', 'number'), name='redemption_of_a_code_once'),
        ),
        migrations.AddConstraint(
            model_name='redemption',
            constraint=models.UniqueConstraint(fields=('entry',), name='redemption_has_its_entry'),
        ),
        migrations.AddConstraint(
            model_name='sealedcodes',
            constraint=models.UniqueConstraint(fields=('batch', 'number'), name='sealed_codes_in_order'),
        ),
        migrations.RunPython(protect, unprotect),
    ]
