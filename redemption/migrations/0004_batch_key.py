from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("redemption", "0003_attempts"),
    ]

    operations = [
        migrations.AddField(
            model_name="codebatch",
            name="key",
            field=models.UUIDField(editable=False, null=True),
        ),
        migrations.AddConstraint(
            model_name="codebatch",
            constraint=models.UniqueConstraint(fields=("key",), name="code_batch_key_unique"),
        ),
    ]
