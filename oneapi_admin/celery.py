"""The Celery application; tasks live in each app's ``tasks`` module."""

import os
import socket
from typing import Any

from celery import Celery
from celery.signals import beat_init, before_task_publish, setup_logging, worker_ready
from django_structlog.celery.steps import DjangoStructLogInitStep

from oneapi_admin.lib import broker

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oneapi_admin.settings")

broker.be_patient()
app = Celery("oneapi_admin")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.steps["worker"].add(DjangoStructLogInitStep)
app.autodiscover_tasks()


@setup_logging.connect  # type: ignore[untyped-decorator]
def _use_the_logging_of_django(**_kwargs: object) -> None:
    """Keep Celery from replacing the structured logging that settings configured."""


@worker_ready.connect  # type: ignore[untyped-decorator]
def _reconcile_at_once(**_kwargs: object) -> None:
    """Know what upstream accounts hold from the start, not only when beat's first interval is over."""
    app.send_task("billing.reconcile_channels")


@worker_ready.connect  # type: ignore[untyped-decorator]
def _note_worker(sender: Any, **_kwargs: object) -> None:
    """The health page need not wait for beat's first round."""
    _report("worker", sender.hostname)


@beat_init.connect  # type: ignore[untyped-decorator]
@before_task_publish.connect(sender="oneapi_admin.note_worker")  # type: ignore[untyped-decorator]
def _note_beat(**_kwargs: object) -> None:
    """When it starts, and whenever it asks for this job, which nobody else does."""
    _report("beat", socket.gethostname())


def _report(kind: str, name: str) -> None:
    """Tell the health page."""
    from oneapi_admin.lib import vitals  # noqa: PLC0415  needs settings, which import this module's package

    vitals.report(kind, name)
