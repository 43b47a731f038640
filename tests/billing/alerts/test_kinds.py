"""What each kind of rule reads, and when it speaks."""

from datetime import timedelta
from decimal import Decimal

import pytest

from accounts.models import User
from billing.models import (
    Alert,
    AlertKind,
    AlertScope,
    AuditRun,
    BalanceKind,
    Channel,
    ExchangeRate,
    Hold,
    LedgerEntry,
    QuotaLevel,
    Reconciliation,
    TokenQuota,
    UsageHourly,
    UsageRecord,
)
from billing.services import accounts, channels, refunds
from billing.services.alerts import levels
from redemption.models import CodeAttack
from tests.billing.alerts.making import (
    HOUR,
    MINUTE,
    SECOND,
    USD,
    episodes,
    evaluate,
    make_rule,
    own_rule,
    raised,
    snapshot,
    spend,
    top_up,
)
from tests.factories import NOON, make_admin, make_channel, make_token, make_user

pytestmark = pytest.mark.django_db


def hourly(channel: Channel, hour: object, calls: int = 100, failed: int = 0, usd: str = "0") -> None:
    UsageHourly.objects.create(
        hour=hour,
        channel_id=channel.pk,
        model="m",
        request_count=calls,
        failure_count=failed,
        upstream_cost=int(Decimal(usd) * 10**9),
    )


def compare(channel: Channel, taken: str, metered: str, status: str = "drift") -> None:
    snapshot(channel, "1")
    newest = channel.balance_snapshots.latest("pk")
    Reconciliation.objects.create(
        channel=channel,
        kind=BalanceKind.BALANCE,
        currency="USD",
        first=newest,
        last=newest,
        began_at=NOON,
        ended_at=NOON,
        taken=Decimal(taken),
        metered=Decimal(metered),
        drift=Decimal(taken) - Decimal(metered),
        tolerance=5,
        status=status,
        created_at=NOON,
    )


# --- Users ------------------------------------------------------------------------------------


def test_used_quota_counts_from_when_it_was_last_raised() -> None:
    user = make_user(balance=100)
    make_rule(AlertKind.QUOTA_USED, "80", user=user)
    spend(user, 50)
    top_up(user, 150)
    spend(user, 150)
    evaluate()
    assert raised() == []

    spend(user, 10)
    evaluate()

    assert raised() == [(user.username, "80", "80")]


def test_a_refund_is_no_top_up_but_less_use() -> None:
    user = make_user(balance=100)
    rule = make_rule(AlertKind.QUOTA_USED, "50", user=user)
    spend(user, 60)
    evaluate()
    refunds.refund(actor=make_admin(), call=UsageRecord.objects.get(), quota=20, memo="m", at=NOON)
    evaluate()

    assert episodes() == [(1, False)]
    assert Alert.objects.get(rule=rule).resolved_value == 40


def test_who_never_had_quota_has_used_none() -> None:
    user = make_user()
    own_rule(user, AlertKind.QUOTA_USED, "0")

    assert evaluate() == 0


def test_the_level_is_looked_up_once_and_followed_from_then_on() -> None:
    user = make_user(balance=100)
    evaluate()
    assert not QuotaLevel.objects.filter(account_id=user.pk).exists()

    assert levels.levels_of([user.pk])[user.pk].level == 100
    evaluate()
    top_up(user, 50)
    evaluate()

    level = QuotaLevel.objects.get(account_id=user.pk)
    assert (level.level, level.entry_id) == (150, LedgerEntry.objects.latest("pk").pk)


def test_a_level_by_an_older_entry_never_replaces_one_by_a_newer() -> None:
    user = make_user(balance=100)
    newest = levels.levels_of([user.pk])[user.pk].entry_id

    levels._keep({user.pk: (newest - 1, 7)})

    assert QuotaLevel.objects.get(account_id=user.pk).level == 100


def test_a_balance_is_told_when_it_is_the_threshold_or_less() -> None:
    user = make_user(balance=2 * USD)
    make_rule(AlertKind.BALANCE_BELOW, "1", "0", user=user)
    spend(user, USD)
    evaluate()
    assert raised() == [(user.username, "1", "1")]

    spend(user, USD)
    evaluate()

    assert raised()[1:] == [(user.username, "0", "0")]


def test_people_who_are_disabled_are_of_no_interest() -> None:
    user = make_user(balance=5)
    own_rule(user, AlertKind.BALANCE_BELOW, "1")
    User.objects.update(status="disabled")

    assert evaluate() == 0


def test_tokens_are_told_by_their_own_limits() -> None:
    user = make_user(balance=1000)
    make_rule(AlertKind.TOKEN_LIMIT_USED, "80")
    evaluate()
    made = make_token(user, name="robot", quota_limit=100)
    TokenQuota.objects.filter(token=made.token).update(used_quota=90)
    spend(user, 1)
    evaluate()

    assert raised() == [("robot", "80", "90")]
    assert Alert.objects.get().user == user


def test_the_cost_of_a_users_last_hour_recovers_though_nothing_happens() -> None:
    user = make_user(balance=100 * USD)
    make_rule(AlertKind.COST_PER_HOUR, "2", scope=AlertScope.ALL_USERS)
    evaluate()
    spend(user, USD, at=NOON - 75 * MINUTE)
    spend(user, 3 * USD, at=NOON - 50 * MINUTE)
    spend(user, USD, at=NOON - 70 * MINUTE)  # recovered late
    evaluate(NOON)
    assert raised() == [(user.username, "2", "3")]

    evaluate(NOON + 5 * MINUTE)
    assert episodes() == [(1, True)]
    evaluate(NOON + 11 * MINUTE)

    assert episodes() == [(1, False)]


def test_a_users_forecast_is_told_in_hours() -> None:
    user = make_user(balance=1000)
    for hours in range(30, 0, -1):
        spend(user, 20, at=NOON - hours * HOUR)
    own_rule(user, AlertKind.FORECAST_BELOW, "24")

    evaluate()

    [(name, _threshold, hours)] = raised()
    assert name == user.username
    assert 15 < Decimal(hours) < 25


# --- Channels ---------------------------------------------------------------------------------


def test_a_balance_is_told_in_its_currency_and_unknown_is_not_zero() -> None:
    first, second, third = make_channel(name="first"), make_channel(name="second"), make_channel(name="third")
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10")
    snapshot(first, "9.5", currency="CNY")
    snapshot(second, None)
    snapshot(third, None, is_unlimited=True)

    evaluate()

    assert raised() == [("first", "10", "9.5")]
    assert Alert.objects.get().facts == {"currency": "CNY"}


def test_what_becomes_unknown_ends_nothing() -> None:
    channel = make_channel()
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10")
    for remaining in ("9", None, "9"):
        snapshot(channel, remaining)
        evaluate()

    assert episodes() == [(1, True)]


def test_of_several_currencies_the_fullest_counts() -> None:
    channel = make_channel()
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10")
    snapshot(channel, "0", currency="USD")
    snapshot(channel, "80", currency="CNY")

    assert evaluate() == 0


def test_the_newest_balance_counts_not_the_one_before() -> None:
    channel = make_channel()
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10")
    evaluate()
    snapshot(channel, "5")
    snapshot(channel, "80", at=NOON + MINUTE)
    assert evaluate(NOON + MINUTE) == 0

    snapshot(channel, "5", at=NOON + 2 * MINUTE)

    assert evaluate(NOON + 2 * MINUTE) == 1


def test_a_spend_limit_is_told_in_percent_and_counts_anew_in_the_next_period() -> None:
    channel = make_channel(name="first")
    make_rule(AlertKind.CHANNEL_LIMIT_USED, "80", "95")
    month = {"kind": BalanceKind.SPEND, "limit": Decimal(200), "period": "month"}
    snapshot(channel, used=Decimal(170), resets_at=NOON + timedelta(days=29), **month)
    evaluate()
    evaluate()
    assert raised() == [("first", "80", "85")]

    snapshot(channel, used=Decimal(180), resets_at=NOON + timedelta(days=59), at=NOON + HOUR, **month)
    evaluate(NOON + HOUR)

    assert episodes() == [(1, False), (2, True)]


def test_a_keys_budget_is_a_limit_too_and_the_fullest_counts() -> None:
    channel = make_channel(name="first")
    make_rule(AlertKind.CHANNEL_LIMIT_USED, "80")
    snapshot(channel, kind=BalanceKind.SPEND, limit=Decimal(100), used=Decimal(1))
    snapshot(channel, "5", kind=BalanceKind.KEY_BUDGET, limit=Decimal(100))

    evaluate()

    assert raised() == [("first", "80", "95")]


def test_the_error_rate_needs_enough_calls() -> None:
    few, many = make_channel(name="few"), make_channel(name="many")
    make_rule(AlertKind.ERROR_RATE, "5", minimum_calls=20)
    hourly(few, NOON, calls=19, failed=19)
    hourly(many, NOON, calls=20, failed=2)

    evaluate(NOON + 10 * MINUTE)

    assert raised() == [("many", "5", "10")]


def test_the_last_hour_slides_and_an_alert_ends_without_calls() -> None:
    channel = make_channel(name="first")
    make_rule(AlertKind.ERROR_RATE, "5")
    hourly(channel, NOON - HOUR, calls=100, failed=50)
    hourly(channel, NOON, calls=100, failed=0)

    evaluate(NOON + 30 * MINUTE)
    [(_name, _threshold, rate)] = raised()
    evaluate(NOON + 58 * MINUTE)

    assert rate == "16.666667"
    assert episodes() == [(1, False)]


def test_an_error_rate_needs_no_least_number_of_calls_to_recover() -> None:
    channel = make_channel()
    make_rule(AlertKind.ERROR_RATE, "5")
    hourly(channel, NOON, failed=50)
    evaluate(NOON + 30 * MINUTE)

    evaluate(NOON + 3 * HOUR)

    assert episodes() == [(1, False)]


def test_the_cost_of_a_channels_last_hour_is_told_in_dollars() -> None:
    channel = make_channel(name="first")
    make_rule(AlertKind.COST_PER_HOUR, "2")
    hourly(channel, NOON, usd="2.5")

    evaluate(NOON + MINUTE)

    assert raised() == [("first", "2", "2.5")]


def test_drift_is_told_in_percent_of_what_the_provider_took() -> None:
    first, second, third = make_channel(name="first"), make_channel(name="second"), make_channel(name="third")
    make_rule(AlertKind.DRIFT, "5")
    compare(first, "100", "90")
    compare(second, "100", "90", status="ok")
    compare(third, "0", "3")

    evaluate()
    compare(first, "100", "100", status="ok")
    evaluate()

    assert raised() == [("first", "5", "10"), ("third", "5", "100")]
    assert episodes() == [(1, False), (1, True)]
    assert Alert.objects.earliest("pk").facts == {"drift": "10", "currency": "USD"}


def test_a_channel_that_disables_itself_is_told_and_an_operators_act_is_not() -> None:
    first, second = make_channel(name="first"), make_channel(name="second")
    make_rule(AlertKind.CHANNEL_DISABLED)
    channels.set_channel_status(actor=None, channel=second, is_enabled=False)
    channels.change_status(actor=None, channel_id=first.pk, status="auto_disabled")
    Channel.objects.filter(pk=first.pk).update(disabled_reason="balance_exhausted")
    evaluate()
    assert raised() == [("first", "1", "1")]
    assert Alert.objects.get().facts == {"reason": "balance_exhausted"}

    channels.set_channel_status(actor=None, channel=first, is_enabled=True)
    evaluate()

    assert episodes() == [(1, False)]


def test_a_channels_forecast_is_told_in_hours_at_the_rate_of_the_day() -> None:
    channel = make_channel(name="first")
    ExchangeRate.objects.create(currency="CNY", per_usd=7, valid_from=NOON.date(), created_at=NOON)
    snapshot(channel, "70", currency="CNY")
    for hours in range(200, 0, -1):
        hourly(channel, NOON - hours * HOUR, usd="1")
    make_rule(AlertKind.FORECAST_BELOW, "24")

    evaluate()

    [(name, _threshold, hours)] = raised()
    assert name == "first"
    assert 8 < Decimal(hours) < 12


def test_forecasts_are_made_again_after_five_minutes_not_every_time() -> None:
    channel = make_channel()
    snapshot(channel, "1000")
    for hours in range(200, 0, -1):
        hourly(channel, NOON - hours * HOUR, usd="1")
    make_rule(AlertKind.FORECAST_BELOW, "24")
    evaluate()
    snapshot(channel, "10", at=NOON + MINUTE)

    counts = [evaluate(NOON + 4 * MINUTE), evaluate(NOON + 5 * MINUTE)]

    assert counts == [0, 1]


# --- The installation -------------------------------------------------------------------------


def test_each_attack_on_codes_is_told_once() -> None:
    make_rule(AlertKind.CODE_ATTACK)
    counts = {"refused_count": 1, "throttled_count": 1, "user_count": 1, "address_count": 1}
    CodeAttack.objects.create(started_at=NOON, last_seen_at=NOON, **counts)
    evaluate()
    evaluate()
    CodeAttack.objects.update(ended_at=NOON)
    CodeAttack.objects.create(started_at=NOON, last_seen_at=NOON, **counts)
    evaluate()

    assert episodes() == [(1, False), (2, True)]


def test_an_audit_that_found_something_is_told_until_one_is_clean() -> None:
    make_rule(AlertKind.AUDIT_FAILED)
    evaluate()
    for is_clean in (True, False, False, True):
        checks = [{"code": "I1", "checked": 1, "broken": int(not is_clean), "broken_ids": []}]
        AuditRun.objects.create(started_at=NOON, finished_at=NOON, is_clean=is_clean, checks=checks)
        evaluate()

    assert episodes() == [(1, False)]
    assert Alert.objects.get().facts == {"invariants": "I1"}


def test_what_nobody_does_when_it_is_time_is_told() -> None:
    user = make_user(balance=100)
    make_rule(AlertKind.BACKLOG, "1", "3")
    Hold.objects.create(
        request_id="r",
        account=user.quota_account,
        token_id=1,
        amount=1,
        created_at=NOON,
        expires_at=NOON - 2 * MINUTE,
    )

    evaluate(NOON)
    evaluate(NOON - 90 * SECOND)

    assert raised() == [("", "1", "1")]
    assert episodes() == [(1, False)]


def test_an_adjustment_upwards_raises_the_level_and_one_downwards_is_use() -> None:
    user = make_user(balance=100)
    make_rule(AlertKind.QUOTA_USED, "30", user=user)
    accounts.adjust(actor=make_admin(), user=user, quota=100, memo="m", at=NOON)
    accounts.adjust(actor=make_admin(), user=user, quota=-80, memo="m", at=NOON)

    evaluate()

    assert raised() == [(user.username, "30", "40")]
