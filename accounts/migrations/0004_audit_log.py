"""The audit log, which the database itself refuses to change, and the one row that is its end."""

import django.db.models.deletion
from django.apps.registry import Apps
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from accounts.audit_chain import seal
from accounts.triggers import create_triggers, drop_triggers


def make_row(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("accounts", "AuditHead").objects.get_or_create(pk=1, defaults={"seal": seal(0, "")})


def create(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    create_triggers(schema_editor.connection)


def drop(_apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    drop_triggers(schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_api'),
    ]

    operations = [
        migrations.CreateModel(
            name='AuditHead',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('event_id', models.BigIntegerField(default=0)),
                ('event_hash', models.CharField(blank=True, max_length=64)),
                ('seal', models.CharField(max_length=64)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('id', 1)), name='audit_head_single_row')],
            },
        ),
        migrations.CreateModel(
            name='AuditEvent',
            fields=[
                ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('created_at', models.DateTimeField(verbose_name='time')),
                ('action', models.CharField(max_length=32, verbose_name='action')),
                ('actor_name', models.CharField(blank=True, max_length=64)),
                ('actor_role', models.CharField(blank=True, max_length=8)),
                ('subject_type', models.CharField(max_length=16)),
                ('subject_id', models.BigIntegerField()),
                ('subject_name', models.CharField(max_length=255)),
                ('user_role', models.CharField(blank=True, max_length=8)),
                ('changes', models.JSONField(default=dict)),
                ('address', models.CharField(blank=True, max_length=45)),
                ('request_id', models.CharField(blank=True, max_length=64)),
                ('previous_hash', models.CharField(blank=True, max_length=64)),
                ('hash', models.CharField(max_length=64)),
                ('actor', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('user', models.ForeignKey(db_constraint=False, db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'indexes': [models.Index(fields=['actor', '-id'], name='audit_event_by_actor'), models.Index(fields=['user', '-id'], name='audit_event_by_user'), models.Index(fields=['action', '-id'], name='audit_event_by_action'), models.Index(fields=['subject_type', '-id'], name='audit_event_by_type'), models.Index(fields=['subject_type', 'subject_id', '-id'], name='audit_event_by_subject'), models.Index(fields=['created_at'], name='audit_event_by_time')],
            },
        ),
        migrations.RunPython(make_row, migrations.RunPython.noop),
        migrations.RunPython(create, drop),
    ]
