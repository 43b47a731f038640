"""A token that is being deleted while a call with it is admitted."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from django.db import connection, transaction

from billing.models import Hold
from billing.services import callers, holds
from billing.services.holds import Admission, AdmitRequest
from oneapi_admin.lib.errors import DomainError
from tests.factories import NOON, admit_request, make_token, make_user
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


def is_somebody_blocked() -> bool:
    """Whether PostgreSQL lets somebody wait for a lock; SQLite's second writer always waits."""
    if connection.vendor == "sqlite":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


def test_it_refuses_its_own_call_and_no_other_of_the_batch() -> None:
    gone, other = make_token(make_user(balance=1000)), make_token(make_user(balance=1000))
    requests: list[AdmitRequest] = [admit_request(gone), admit_request(other)]
    has_started = Event()

    def admit() -> list[Admission | DomainError]:
        try:
            has_started.set()
            return holds.admit(requests=requests, at=NOON)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            gone.token.delete()
            admitting = pool.submit(admit)
            has_started.wait()
            wait_until(is_somebody_blocked)
        refused, admitted = admitting.result()

    assert isinstance(refused, callers.InvalidTokenError)
    assert isinstance(admitted, Admission)
    assert Hold.objects.get().request_id == requests[1].request_id
