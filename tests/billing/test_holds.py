from datetime import timedelta

import pytest

from accounts.models import UserStatus
from billing.models import Hold, LedgerEntry, TokenQuota, UsageDaily, UsageHourly, UsageRecord
from billing.services import callers, calls, holds, tokens
from billing.services.calls import settle
from tests.factories import (
    NOON,
    account_of,
    admit_request,
    balance_of,
    make_channel,
    make_token,
    make_user,
    settlement,
)

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_admitted_call_holds_its_estimate_on_account_and_token() -> None:
    user = make_user(balance=1000)
    made = make_token(user, quota_limit=500)

    [admission] = calls.admit(requests=[admit_request(made, estimate=300)], at=NOON)

    assert isinstance(admission, holds.Admission)
    assert (account_of(user).balance, account_of(user).held) == (1000, 300)
    assert TokenQuota.objects.get(token=made.token).held == 300
    assert Hold.objects.get().amount == 300


def test_a_batch_admits_first_come_first_served_down_to_the_last_unit() -> None:
    user = make_user(balance=1000)
    made = make_token(user)

    results = calls.admit(requests=[admit_request(made, estimate=400) for _ in range(3)], at=NOON)

    assert [isinstance(result, holds.Admission) for result in results] == [True, True, False]
    refusal = results[2]
    assert isinstance(refusal, holds.UserQuotaError)
    assert (refusal.left, refusal.held, refusal.needed) == (200, 800, 400)
    assert account_of(user).held == 800


def test_the_token_is_named_when_its_own_limit_is_the_obstacle() -> None:
    user = make_user(balance=1000)
    made = make_token(user, quota_limit=50)

    [refusal] = calls.admit(requests=[admit_request(made, estimate=60)], at=NOON)

    assert isinstance(refusal, holds.TokenQuotaError)
    assert (refusal.code, refusal.http_status, refusal.left) == ("pre_consume_token_quota_failed", 403, 50)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"key_hash": "0" * 64}, callers.InvalidTokenError),
        ({"client_ip": "203.0.113.9"}, callers.NetworkNotAllowedError),
        ({"client_ip": "not an address"}, callers.NetworkNotAllowedError),
        ({"model": "another-model"}, callers.ModelNotAllowedError),
    ],
)
def test_a_call_outside_what_the_token_allows_is_refused_and_holds_nothing(change, error) -> None:
    user = make_user(balance=1000)
    made = make_token(user, allowed_models=["test-model"], allowed_networks=["192.0.2.0/24"])

    [refusal] = calls.admit(requests=[admit_request(made, **change)], at=NOON)

    assert isinstance(refusal, error)
    assert account_of(user).held == 0


def test_an_expired_or_disabled_token_and_a_disabled_user_are_refused_from_the_next_call_on() -> None:
    user = make_user(balance=1000)
    expired = make_token(user, expires_at=NOON)
    disabled = make_token(user)
    tokens.set_token_status(actor=None, token=disabled.token, is_enabled=False)
    outcast = make_user(balance=1000)
    outcasts = make_token(outcast)
    outcast.status = UserStatus.DISABLED
    outcast.save(update_fields=["status"])

    results = calls.admit(requests=[admit_request(made) for made in (expired, disabled, outcasts)], at=NOON)

    assert [type(result) for result in results] == [
        callers.TokenExpiredError,
        callers.TokenDisabledError,
        callers.UserDisabledError,
    ]


def test_settling_charges_once_writes_every_row_and_drops_the_hold() -> None:
    user = make_user(balance=1000)
    made = make_token(user)
    channel = make_channel()
    request = admit_request(made, estimate=300)
    calls.admit(requests=[request], at=NOON)
    call = settlement(made, channel, quota=120, estimate=300, request_id=request.request_id)

    first = settle(settlements=[call], at=NOON)
    replay = settle(settlements=[call], at=NOON)

    account = account_of(user)
    assert (account.balance, account.held, account.used_quota, account.request_count) == (880, 0, 120, 1)
    assert first == replay
    assert first[0].available == 880
    assert UsageRecord.objects.get().quota == 120
    assert list(LedgerEntry.objects.filter(kind="usage").values_list("amount", "balance_after")) == [
        (-120, 880)
    ]
    quota = TokenQuota.objects.get(token=made.token)
    assert (quota.used_quota, quota.held, quota.request_count, quota.last_used_at) == (120, 0, 1, NOON)
    channel.totals.refresh_from_db()
    assert (channel.totals.used_quota, channel.totals.request_count) == (120, 1)
    assert UsageDaily.objects.get().quota == 120
    assert UsageHourly.objects.get().quota == 120


def test_calls_of_one_batch_share_one_entry_an_account() -> None:
    user, other = make_user(balance=1000), make_user(balance=1000)
    made, others = make_token(user), make_token(other)
    channel = make_channel()

    settle(
        settlements=[
            settlement(made, channel, quota=10),
            settlement(others, channel, quota=7),
            settlement(made, channel, quota=30),
            settlement(made, channel, quota=0, status="failed"),
        ],
        at=NOON,
    )

    entries = LedgerEntry.objects.filter(kind="usage").order_by("account_id")
    assert [(entry.account_id, entry.amount) for entry in entries] == [(user.pk, -40), (other.pk, -7)]
    assert entries[0].usage_records.count() == 2
    daily = UsageDaily.objects.get(account_id=user.pk)
    assert (daily.request_count, daily.failure_count, daily.quota) == (3, 1, 40)


def test_what_passes_the_estimate_is_charged_in_full_and_blocks_the_next_call() -> None:
    user = make_user(balance=100)
    made = make_token(user)
    request = admit_request(made, estimate=90)
    calls.admit(requests=[request], at=NOON)

    settle(
        settlements=[settlement(made, make_channel(), quota=150, estimate=90, request_id=request.request_id)],
        at=NOON,
    )
    [refusal] = calls.admit(requests=[admit_request(made, estimate=0)], at=NOON)

    assert balance_of(user) == -50
    assert UsageRecord.objects.get().is_overrun
    assert isinstance(refusal, holds.UserQuotaError)


def test_releasing_gives_back_in_full_and_only_once() -> None:
    user = make_user(balance=1000)
    request = admit_request(make_token(user), estimate=300)
    calls.admit(requests=[request], at=NOON)

    counts = [holds.release(request_ids=[request.request_id]) for _ in range(2)]

    assert counts == [1, 0]
    assert (account_of(user).balance, account_of(user).held) == (1000, 0)


def test_an_expired_hold_is_swept_and_its_late_call_is_charged_all_the_same() -> None:
    user = make_user(balance=1000)
    made = make_token(user)
    request = admit_request(made, estimate=300, expires_at=NOON + timedelta(minutes=1))
    calls.admit(requests=[request, admit_request(made, estimate=5)], at=NOON)

    too_early = holds.expire(at=NOON)
    swept = holds.expire(at=NOON + timedelta(minutes=1))
    settle(settlements=[settlement(made, make_channel(), quota=200, request_id=request.request_id)], at=NOON)

    assert (too_early, swept) == (0, 1)
    assert (account_of(user).balance, account_of(user).held) == (800, 5)


def test_deleting_a_token_in_flight_neither_frees_nor_loses_the_call() -> None:
    user = make_user(balance=1000)
    made = make_token(user)
    request = admit_request(made, estimate=300)
    calls.admit(requests=[request], at=NOON)
    call = settlement(made, make_channel(), quota=120, estimate=300, request_id=request.request_id)

    tokens.delete_token(actor=None, token=made.token)
    settle(settlements=[call], at=NOON)

    assert (account_of(user).balance, account_of(user).held) == (880, 0)
    assert UsageRecord.objects.get().token_name == "a token"
