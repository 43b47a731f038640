"""The examples in ``docs/examples`` work as they stand, against a real server."""

import hmac
import importlib.util
import io
import json
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from accounts.models import User
from accounts.services.access_tokens import create_access_token
from billing.models import LedgerEntry, Proposal
from billing.services.approval_settings import set_approval_threshold
from tests.factories import balance_of, codes_in_clear, make_admin, make_batch, make_root, make_user
from tests.support.processes import ROOT, WebProcess, web_processes

pytestmark = pytest.mark.django_db(transaction=True)
SECRET = b"between the shop and the payment provider"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


api = load("oneapi_admin_client")
shop = load("payment_callback")


@pytest.fixture(scope="module")
def web(django_db_setup: None) -> Iterator[WebProcess]:
    with web_processes(1) as [server]:
        yield server


def client_of(web: WebProcess, user: User) -> Any:
    return api.Client(web.origin, create_access_token(actor=None, user=user, name="c", scopes=["admin"])[1])


def call_back(callback: Any, body: bytes, signature: str) -> tuple[str, str]:
    started: list[str] = []
    environ = {
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_X_SIGNATURE": signature,
    }
    [text] = callback(environ, lambda status, _headers: started.append(status))
    return started[0], text.decode()


def paid(user_id: int) -> tuple[bytes, str]:
    body = json.dumps({"order": "2026-000123", "user_id": user_id, "usd": "5.00"}).encode()
    return body, hmac.digest(SECRET, body, "sha256").hex()


def test_the_client_makes_a_user_tops_them_up_once_an_order_and_reads_everything(web) -> None:
    client = client_of(web, make_admin())

    made = client.create_user("ann", "a long pass phrase", quota=10, key="sign-up-1")
    first = client.top_up(made["id"], order="7", usd="5.00", memo="order 7")
    again = client.top_up(made["id"], order="7", usd="5.00", memo="order 7")

    assert again == first
    assert client.me()["role"] == "admin"
    assert [entry["amount"] for entry in client.ledger_entries(user=made["id"])] == [2_500_000, 10]
    assert balance_of(User.objects.get(username="ann")) == 2_500_010


def test_the_client_reads_a_list_longer_than_a_page(web) -> None:
    user = make_user()
    client = client_of(web, make_admin())
    for order in range(205):
        client.top_up(user.pk, order=str(order), quota=1)

    assert [entry["balance_after"] for entry in client.ledger_entries()] == list(range(205, 0, -1))


def test_the_client_says_why_it_was_refused(web) -> None:
    client = client_of(web, make_user())

    refusals = {}
    for code in ("0000-0000-0000-0000-0", "no such code"):
        with pytest.raises(api.ProblemError) as refused:
            client.redeem(code)
        refusals[code] = (refused.value.status, refused.value.code)
        assert refused.value.request_id

    assert refusals == {
        "0000-0000-0000-0000-0": (409, "code_not_redeemable"),
        "no such code": (422, "code_mistyped"),
    }


def test_the_client_redeems_a_code_and_reads_who_redeemed(web) -> None:
    user, batch = make_user(), make_batch(count=2)
    client = client_of(web, user)

    entries = [client.redeem(code) for code in codes_in_clear(batch)]

    told = [redemption["entry_id"] for redemption in client.items("/redemptions", batch=batch.pk)]
    assert told == [entry["id"] for entry in reversed(entries)]
    assert balance_of(user) == 1_000


def test_a_payment_that_is_reported_three_times_is_credited_once(web) -> None:
    user = make_user()
    callback = shop.PaymentCallback(client_of(web, make_admin()), SECRET)

    answers = [call_back(callback, *paid(user.pk)) for _ in range(3)]

    entry = LedgerEntry.objects.get()
    assert answers == [("200 OK", f"entry {entry.pk}")] * 3
    assert (entry.memo, balance_of(user)) == ("order 2026-000123", 2_500_000)


def test_a_payment_that_nobody_signed_credits_nobody(web) -> None:
    user = make_user()
    callback = shop.PaymentCallback(client_of(web, make_admin()), SECRET)

    status, _text = call_back(callback, paid(user.pk)[0], "0" * 64)

    assert status == "401 Unauthorized"
    assert balance_of(user) == 0


def test_a_payment_for_nobody_is_refused_for_good(web) -> None:
    callback = shop.PaymentCallback(client_of(web, make_admin()), SECRET)

    status, text = call_back(callback, *paid(10**15))

    assert status.startswith("422")
    assert "not_found" in text


def test_a_payment_while_the_server_is_away_is_to_be_reported_again(monkeypatch) -> None:
    monkeypatch.setattr(api.time, "sleep", lambda _seconds: None)
    callback = shop.PaymentCallback(api.Client("http://127.0.0.1:9", "oa-x"), SECRET)

    status, _text = call_back(callback, *paid(1))

    assert status.startswith("503")


def test_a_payment_that_another_operator_has_to_approve_is_noted_and_credits_nobody_yet(web) -> None:
    set_approval_threshold(actor=make_root(), threshold=2_499_999)
    user = make_user()
    callback = shop.PaymentCallback(client_of(web, make_admin()), SECRET)

    answers = [call_back(callback, *paid(user.pk)) for _ in range(2)]

    proposal = Proposal.objects.get()
    assert answers == [("200 OK", f"proposal {proposal.pk} waits for approval")] * 2
    assert balance_of(user) == 0
