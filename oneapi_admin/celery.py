"""The Celery application; tasks live in each app's ``tasks`` module."""

import os

from celery import Celery
from celery.signals import setup_logging
from django_structlog.celery.steps import DjangoStructLogInitStep

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oneapi_admin.settings")

app = Celery("oneapi_admin")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.steps["worker"].add(DjangoStructLogInitStep)
app.autodiscover_tasks()


@setup_logging.connect  # type: ignore[untyped-decorator]
def _use_the_logging_of_django(**_kwargs: object) -> None:
    """Keep Celery from replacing the structured logging that settings configured."""
