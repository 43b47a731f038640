from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def make_row(apps: Apps, _schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("accounts", "SiteSettings").objects.get_or_create(pk=1)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunPython(make_row, migrations.RunPython.noop)]
