"""A token that is being deleted while a call with it is admitted."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from django.db import connection, transaction

from billing.models import Hold
from billing.services import calls
from billing.services.audit import audit_ledger
from billing.services.holds import Admission
from oneapi_admin.lib.errors import DomainError
from tests.factories import NOON, account_of, admit_request, make_token, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_call_comes_before_it_or_after_it_and_others_never_feel_it() -> None:
    user = make_user(balance=1000)
    gone, other = make_token(user), make_token(make_user(balance=1000))
    requests = [admit_request(gone, estimate=30), admit_request(other, estimate=20)]
    has_started = Event()

    def admit() -> list[Admission | DomainError]:
        try:
            connection.ensure_connection()
            has_started.set()
            return calls.admit(requests=requests, at=NOON)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            gone.token.delete()
            admitting = pool.submit(admit)
            has_started.wait()
        with_deleted, with_other = admitting.result()

    is_before = isinstance(with_deleted, Admission)
    assert isinstance(with_other, Admission)
    assert account_of(user).held == (30 if is_before else 0)
    assert Hold.objects.count() == (2 if is_before else 1)
    assert [check.code for check in audit_ledger() if check.broken] == []
