"""Tokens and their budgets."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from accounts.models import Token
from billing.models import Hold, LedgerEntry, QuotaAccount, TokenQuota, UsageRecord
from billing.services import calls, holds, tokens
from billing.services.calls import settle
from oneapi_admin.lib.quota import MAX_QUOTA
from oneapi_admin.lib.secrets import key_digest
from tests.factories import NOON, admit_request, make_channel, make_token, make_user, settlement

pytestmark = pytest.mark.django_db(transaction=True)


def update(token: Token, **fields) -> Token:
    defaults = {
        "name": "renamed",
        "quota_limit": None,
        "expires_at": None,
        "allowed_models": [],
        "allowed_networks": [],
    }
    return tokens.update_token(actor=None, token=token, **{**defaults, **fields})


def test_a_new_token_is_found_by_its_key_and_has_its_budget() -> None:
    made = make_token(make_user(), quota_limit=500, allowed_models=["m"], allowed_networks=["192.0.2.0/24"])

    token = Token.objects.get(key_hash=key_digest(made.key.removeprefix("sk-")))
    assert token == made.token
    assert (token.allowed_models, token.allowed_networks) == (["m"], ["192.0.2.0/24"])
    assert (token.quota.quota_limit, token.quota.left, token.quota.held) == (500, 500, 0)


def test_a_key_is_long_and_stored_nowhere() -> None:
    made = make_token(make_user())
    secret = made.key.removeprefix("sk-")

    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM accounts_token")
        stored = str(cursor.fetchall())

    assert made.key.startswith("sk-")
    assert len(secret) == 48
    assert secret not in stored
    assert secret[4:-4] not in stored
    assert made.token.key_prefix == f"sk-{secret[:4]}…{secret[-4:]}"


def test_a_token_opens_the_account_of_whoever_signed_up_without_one() -> None:
    user = make_user()
    QuotaAccount.objects.filter(user=user).delete()

    make_token(user)

    assert QuotaAccount.objects.filter(user=user).exists()


@pytest.mark.parametrize("quota_limit", [None, 0, 1, MAX_QUOTA])
def test_a_limit_may_be_nothing_or_anything_up_to_the_largest(quota_limit) -> None:
    made = make_token(make_user(), quota_limit=quota_limit)

    assert TokenQuota.objects.get(token=made.token).quota_limit == quota_limit


@pytest.mark.parametrize(
    "fields",
    [
        {"quota_limit": -1},
        {"quota_limit": MAX_QUOTA + 1},
        {"name": ""},
        {"name": "n" * 65},
        {"allowed_networks": ["10.0.0.0/33"]},
        {"allowed_networks": ["192.0.2.0/24", "everywhere"]},
        {"allowed_networks": ["192.0.2.1/24"]},
    ],
)
def test_a_token_that_is_not_valid_is_neither_made_nor_changed(fields) -> None:
    user = make_user()
    made = make_token(user, quota_limit=5)

    with pytest.raises(ValidationError):
        make_token(user, **fields)
    with pytest.raises(ValidationError):
        update(made.token, **fields)

    token = Token.objects.get()
    assert (token.name, token.quota.quota_limit, token.allowed_networks) == ("a token", 5, [])


def test_a_change_writes_the_new_rules_and_keeps_what_was_spent() -> None:
    made = make_token(make_user(balance=100), quota_limit=50)
    settle(settlements=[settlement(made, make_channel(), quota=20)], at=NOON)

    update(made.token, quota_limit=25, expires_at=NOON, allowed_models=["m"], allowed_networks=["::1"])

    token = Token.objects.get()
    assert (token.name, token.expires_at, token.allowed_models) == ("renamed", NOON, ["m"])
    assert (token.quota.quota_limit, token.quota.used_quota, token.quota.left) == (25, 20, 5)


def test_a_limit_below_what_was_spent_stops_the_token_and_frees_nothing() -> None:
    made = make_token(make_user(balance=100), quota_limit=50)
    settle(settlements=[settlement(made, make_channel(), quota=20)], at=NOON)

    update(made.token, quota_limit=10)
    [refusal] = calls.admit(requests=[admit_request(made, estimate=1)], at=NOON)

    assert isinstance(refusal, holds.TokenQuotaError)
    assert TokenQuota.objects.get().left == -10


def test_a_call_in_flight_goes_on_when_its_token_is_changed_or_disabled() -> None:
    made = make_token(make_user(balance=100), quota_limit=50)
    request = admit_request(made, estimate=40)
    calls.admit(requests=[request], at=NOON)

    update(made.token, quota_limit=0, expires_at=NOON - timedelta(days=1))
    tokens.set_token_status(actor=None, token=made.token, is_enabled=False)
    settle(settlements=[settlement(made, make_channel(), quota=30, request_id=request.request_id)], at=NOON)

    quota = TokenQuota.objects.get()
    assert (quota.used_quota, quota.held) == (30, 0)


def test_a_token_is_disabled_and_enabled_again() -> None:
    made = make_token(make_user())
    statuses = []

    for is_enabled in (False, False, True):
        tokens.set_token_status(actor=None, token=made.token, is_enabled=is_enabled)
        statuses.append(Token.objects.get().status)

    assert statuses == ["disabled", "disabled", "enabled"]


def test_a_deleted_token_leaves_its_history() -> None:
    user = make_user(balance=100)
    made = make_token(user)
    settle(settlements=[settlement(made, make_channel(), quota=20)], at=NOON)

    tokens.delete_token(actor=None, token=made.token)

    assert not Token.objects.exists()
    assert not TokenQuota.objects.exists()
    assert UsageRecord.objects.get().token_name == "a token"
    assert LedgerEntry.objects.filter(account_id=user.pk).count() == 2


def test_a_deleted_tokens_key_opens_nothing() -> None:
    made = make_token(make_user(balance=100))
    tokens.delete_token(actor=None, token=made.token)

    [refusal] = calls.admit(requests=[admit_request(made)], at=NOON)

    assert refusal.http_status == 401
    assert not Hold.objects.exists()
