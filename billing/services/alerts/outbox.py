"""Asking for deliveries once what they tell of is committed."""

from typing import Final

from django.db import connection, transaction

from oneapi_admin.lib.jobs import enqueue

DELIVER: Final = "billing.deliver_alerts"
"""The job that sends what is due."""


def deliver_after_commit() -> None:
    """Have it sent soon, asking once a transaction; should that fail, the schedule finds it."""
    if not any(waiting[1] is _ask for waiting in connection.run_on_commit):
        transaction.on_commit(_ask, robust=True)


def _ask() -> None:
    enqueue(DELIVER)
