"""The product's settings with a schedule that a test can wait for, and a beat that says what it asks for."""

from oneapi_admin.settings import *  # noqa: F403
from oneapi_admin.settings import CELERY_BEAT_SCHEDULE as _SCHEDULE
from oneapi_admin.settings import LOGGING as _LOGGING

_EVERY_S = 0.5
CELERY_BEAT_SCHEDULE = {
    name: {**_SCHEDULE[name], "schedule": _EVERY_S}
    for name in ("expire-holds", "deliver-webhooks", "audit-ledger")
}
LOGGING = {**_LOGGING, "loggers": {**_LOGGING["loggers"], "celery.beat": {"level": "INFO"}}}
