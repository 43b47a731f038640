"""Asking for a job at once, instead of when its schedule says."""

from typing import Any

import structlog
from celery import current_app
from django.conf import settings
from kombu.connection import Connection
from kombu.exceptions import OperationalError

logger = structlog.get_logger(__name__)

_PATIENCE_S = 2
_EXPIRES_S = 60


def enqueue(name: str, **arguments: Any) -> None:
    """Ask for a job now. While the broker is away this does nothing: what the schedule asks for has to do."""
    options: dict[str, Any] = {
        **settings.CELERY_BROKER_TRANSPORT_OPTIONS,
        "socket_connect_timeout": _PATIENCE_S,
        "socket_timeout": _PATIENCE_S,
        "max_retries": 0,
    }
    try:
        with Connection(  # type: ignore[no-untyped-call]
            settings.CELERY_BROKER_URL, transport_options=options
        ) as connection:
            current_app.send_task(
                name, kwargs=arguments, connection=connection, retry=False, expires=_EXPIRES_S
            )
    except (OperationalError, OSError):
        logger.warning("jobs.not_enqueued", job=name)
