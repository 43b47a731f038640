"""When an alert begins and ends: once for each rule, subject, threshold and period."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from billing import tasks
from billing.models import (
    Alert,
    AlertCursor,
    AlertDelivery,
    AlertKind,
    AlertScope,
    LedgerEntry,
    WebhookDelivery,
)
from billing.services import accounts, channels, webhooks
from billing.services.alerts import evaluating, rules
from billing.services.alerts.feeds import open_feed
from billing.services.alerts.kinds import KINDS
from billing.services.alerts.readings import Look, Reading
from tests.billing.alerts.making import (
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
from tests.factories import NOON, make_admin, make_channel, make_user, make_webhook

pytestmark = pytest.mark.django_db


def test_each_threshold_that_is_crossed_is_told_once_however_often_is_looked() -> None:
    user = make_user(balance=100)
    make_rule(AlertKind.QUOTA_USED, "80", "95", "100")
    evaluate()
    spend(user, 85)

    counts = [evaluate(), evaluate(), evaluate(NOON + 10 * SECOND)]
    spend(user, 15)
    counts += [evaluate(NOON + 20 * SECOND), evaluate(NOON + 30 * SECOND)]

    assert counts == [1, 0, 0, 2, 0]
    assert raised() == [
        (user.username, "80", "85"),
        (user.username, "95", "100"),
        (user.username, "100", "100"),
    ]


def test_recovery_makes_room_for_the_next_alert() -> None:
    channel = make_channel()
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10")
    for remaining in ("9", "8", "50", "7"):
        snapshot(channel, remaining)
        evaluate()

    assert episodes() == [(1, False), (2, True)]
    assert Alert.objects.get(episode=1).resolved_value == 50


def test_a_value_that_dances_on_a_threshold_is_told_once() -> None:
    channel = make_channel()
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10")
    for remaining in ("10", "10.01", "9.99", "10.5", "9"):
        snapshot(channel, remaining)
        evaluate()
    assert episodes() == [(1, True)]

    snapshot(channel, "10.51")
    evaluate()

    assert episodes() == [(1, False)]


def test_a_period_that_begins_is_a_new_episode_even_when_nobody_saw_the_recovery() -> None:
    user = make_user(balance=100)
    make_rule(AlertKind.QUOTA_USED, "80")
    evaluate()
    spend(user, 90)
    evaluate()
    top_up(user, 90)
    spend(user, 95)

    assert evaluate() == 1
    assert episodes() == [(1, False), (2, True)]


def test_an_episode_can_be_raised_once_whoever_tries_again() -> None:
    snapshot(make_channel(), "9")
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10")
    evaluate()
    alert = Alert.objects.get()

    alert.pk, alert.key = None, "00000000-0000-4000-8000-000000000000"
    with pytest.raises(IntegrityError), transaction.atomic():
        alert.save(force_insert=True)


def test_a_rule_about_one_subject_says_how_it_stands_already() -> None:
    poor, channel = make_user(balance=USD // 2), make_channel()
    snapshot(channel, "3")
    evaluate()
    evaluate(NOON + 10 * MINUTE)

    own_rule(poor, AlertKind.BALANCE_BELOW, "1")
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "5", channel=channel)
    evaluate(NOON + 11 * MINUTE)

    assert sorted(raised()) == sorted([(poor.username, "1", "0.5"), (channel.name, "5", "3")])


def test_a_rule_about_all_users_is_about_those_whose_quota_moves_from_now_on() -> None:
    _idle, moving = make_user(balance=5), make_user(balance=5)
    evaluate()
    evaluate(NOON + 10 * MINUTE)
    make_rule(AlertKind.BALANCE_BELOW, "1", at=NOON + 10 * MINUTE)

    assert evaluate(NOON + 11 * MINUTE) == 0
    spend(moving, 1)
    assert evaluate(NOON + 12 * MINUTE) == 1
    assert [name for name, *_ in raised()] == [moving.username]


def test_a_rule_about_one_user_or_channel_is_about_no_other() -> None:
    one, other = make_user(balance=5), make_user(balance=5)
    first, second = make_channel(name="first"), make_channel(name="second")
    make_rule(AlertKind.BALANCE_BELOW, "1", user=one)
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "1", channel=first)
    for channel in (first, second):
        snapshot(channel, "0.5")
    spend(other, 1)
    spend(one, 1)

    evaluate()

    assert sorted(name for name, *_ in raised()) == sorted([one.username, "first"])


def test_what_was_committed_late_is_still_seen() -> None:
    """Its id is smaller than others that were seen before."""
    make_rule(AlertKind.BALANCE_BELOW, "1")
    evaluate()
    user = make_user(balance=5)
    last = user.quota_account.entries.latest("pk").pk
    evaluate_without(user, at=NOON + 10 * SECOND)

    assert raised() == []
    evaluate(NOON + 20 * SECOND)

    assert [name for name, *_ in raised()] == [user.username]
    marks = [position for _moment, position in AlertCursor.objects.get(name="entries").marks]
    assert last in marks


def evaluate_without(user: User, at: datetime) -> None:
    """As if the user's account were not to be seen yet."""
    User.objects.filter(pk=user.pk).update(status="disabled")
    evaluate(at)
    User.objects.filter(pk=user.pk).update(status="enabled")


def test_what_was_seen_for_a_minute_is_not_read_again() -> None:
    make_user(balance=5)
    newest = LedgerEntry.objects.latest("pk").pk
    for seconds in (0, 10, 70, 130):
        evaluate(NOON + seconds * SECOND)

    assert open_feed("entries", LedgerEntry.objects.all()).after == newest
    assert len(AlertCursor.objects.get(name="entries").marks) == 2


def test_how_many_queries_a_look_takes_does_not_depend_on_how_many_users_there_are() -> None:
    make_rule(AlertKind.BALANCE_BELOW, "1")
    make_rule(AlertKind.QUOTA_USED, "80")
    make_rule(AlertKind.TOKEN_LIMIT_USED, "80")
    make_rule(AlertKind.COST_PER_HOUR, "80", scope=AlertScope.ALL_USERS)
    for _user in range(3):
        make_user(balance=5 * USD)
    evaluate()
    for _user in range(3):
        make_user(balance=5 * USD)
    with CaptureQueriesContext(
        connection,
    ) as few:
        evaluate()
    for _user in range(30):
        make_user(balance=5 * USD)
    with CaptureQueriesContext(connection) as many:
        evaluate()

    assert len(many) == len(few)


def test_one_kind_that_cannot_be_read_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_arguments: object) -> None:
        raise RuntimeError("out of order")

    broken = replace(KINDS[AlertKind.DRIFT], read=fail)
    monkeypatch.setitem(KINDS, AlertKind.DRIFT, broken)
    user = make_user(balance=5)
    make_rule(AlertKind.DRIFT, "5")
    make_rule(AlertKind.BALANCE_BELOW, "1", user=user)
    make_rule(AlertKind.CHANNEL_DISABLED)

    assert evaluate() == 1
    assert not AlertCursor.objects.exists()


# --- Rules that change ------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["changed", "disabled", "deleted"])
def test_a_rule_that_is_no_longer_meant_when_its_alerts_are_written_raises_none(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    user = make_user(balance=100)
    rule = make_rule(AlertKind.QUOTA_USED, "50")
    evaluate()
    spend(user, 90)
    kind, later = KINDS[AlertKind.QUOTA_USED], NOON + 10 * SECOND

    def change_meanwhile(look: Look, user_ids: Sequence[int]) -> Iterable[Reading]:
        settings = {"kind": rule.kind, "scope": rule.scope, "thresholds": ["95"]}
        if what == "changed":
            rules.update_rule(
                actor=None, rule=rule, settings=rules.RuleSettings(name="other", **settings), at=later
            )
        elif what == "disabled":
            rules.set_rule_status(actor=None, rule=rule, is_enabled=False, at=later)
        else:
            rules.delete_rule(actor=None, rule=rule)
        assert kind.read_users is not None
        return kind.read_users(look, user_ids)

    monkeypatch.setitem(KINDS, AlertKind.QUOTA_USED, replace(kind, read_users=change_meanwhile))

    assert evaluate(later) == 0
    assert raised() == []


def test_a_disabled_rule_is_silent_and_begins_anew_when_it_is_enabled() -> None:
    snapshot(make_channel(), "9")
    rule = make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10")
    evaluate()

    rules.set_rule_status(actor=None, rule=rule, is_enabled=False, at=NOON)
    assert evaluate() == 0
    assert episodes() == [(1, False)]
    rules.set_rule_status(actor=None, rule=rule, is_enabled=True, at=NOON)

    assert evaluate() == 1
    assert episodes() == [(1, False), (2, True)]


def test_a_rule_with_other_thresholds_begins_anew_and_one_with_another_name_goes_on() -> None:
    snapshot(make_channel(), "9")
    rule = make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10")
    evaluate()
    said = {"kind": rule.kind, "scope": rule.scope}

    rules.update_rule(
        actor=None, rule=rule, settings=rules.RuleSettings(name="b", thresholds=["10"], **said), at=NOON
    )
    assert evaluate() == 0
    rules.update_rule(
        actor=None, rule=rule, settings=rules.RuleSettings(name="b", thresholds=["10", "20"], **said), at=NOON
    )

    assert evaluate() == 2
    assert sorted(episodes()) == [(1, False), (1, True), (2, True)]


def test_a_rule_that_is_changed_while_it_is_looked_at_is_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    poor = make_user(balance=USD // 2)
    rule = own_rule(poor, AlertKind.BALANCE_BELOW, "0.1")
    said = {"name": "b", "kind": rule.kind, "scope": "user", "user": poor, "audience": "user"}
    end_of_unwatched = evaluating._end_of_unwatched

    def change_meanwhile(look: object) -> None:
        wanted = rules.RuleSettings(thresholds=["1"], **said)
        rules.update_rule(actor=poor, rule=rule, settings=wanted, at=NOON + SECOND)
        end_of_unwatched(look)

    with monkeypatch.context() as patch:
        patch.setattr(evaluating, "_end_of_unwatched", change_meanwhile)
        assert evaluate() == 0

    assert evaluate(NOON + 10 * SECOND) == 1
    assert evaluate(NOON + 20 * SECOND) == 0


def test_alerts_about_a_channel_end_when_an_operator_disables_or_deletes_it() -> None:
    first, second = make_channel(), make_channel()
    for channel in (first, second):
        snapshot(channel, "1")
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10", tells_recovery=True)
    evaluate()
    told = AlertDelivery.objects.count()

    channels.set_channel_status(actor=None, channel=first, is_enabled=False)
    channels.delete_channel(actor=None, channel=second)
    evaluate()

    assert episodes() == [(1, False), (1, False)]
    assert AlertDelivery.objects.count() == told


def test_the_jobs_do_it() -> None:
    admin = make_admin()
    user = make_user()
    make_rule(AlertKind.BALANCE_BELOW, "1", user=user)
    accounts.top_up(actor=admin, user=user, quota=5, at=timezone.now())

    tasks.evaluate_alerts()
    tasks.deliver_alerts()

    assert AlertDelivery.objects.filter(status="delivered", user=admin).count() == 1


# --- Who is told ------------------------------------------------------------------------------


def test_alert_and_what_tells_of_it_are_written_together_or_not_at_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_admin()
    make_webhook()
    WebhookDelivery.objects.all().delete()
    user = make_user(balance=5)
    make_rule(AlertKind.BALANCE_BELOW, "1", user=user)

    def fail(**_arguments: object) -> None:
        raise RuntimeError("out of order")

    with monkeypatch.context() as patch:
        patch.setattr(webhooks, "emit_all", fail)
        evaluate()
    assert (Alert.objects.count(), AlertDelivery.objects.count()) == (0, 0)
    evaluate()

    assert (Alert.objects.count(), AlertDelivery.objects.count()) == (1, 1)
    assert WebhookDelivery.objects.filter(event="alert.raised").count() == 1


def test_webhooks_are_told_of_the_beginning_and_of_the_end() -> None:
    make_webhook()
    channel = make_channel(name="first")
    rule = make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10.50")
    for remaining in ("9.25", "99"):
        snapshot(channel, remaining, currency="CNY")
        evaluate()

    begin, end = [
        row.payload for row in WebhookDelivery.objects.filter(event__startswith="alert.").order_by("pk")
    ]
    assert (begin["event"], end["event"]) == ("alert.raised", "alert.resolved")
    assert begin["data"] == {
        "alert_id": Alert.objects.get().pk,
        "rule_id": rule.pk,
        "rule": rule.name,
        "kind": "channel_balance_below",
        "severity": "warning",
        "subject_type": "channel",
        "subject_id": channel.pk,
        "subject": "first",
        "user_id": None,
        "unit": "currency",
        "threshold": "10.5",
        "value": "9.250000",
        "facts": {"currency": "CNY"},
    }
    assert (end["data"]["alert_id"], end["data"]["value"]) == (begin["data"]["alert_id"], "99.000000")


def test_what_users_watch_for_themselves_is_not_told_to_the_operators_webhooks() -> None:
    make_webhook()
    own_rule(make_user(balance=5), AlertKind.BALANCE_BELOW, "1")
    make_rule(AlertKind.BALANCE_BELOW, "1", user=make_user(balance=5), is_sent_to_webhooks=False)

    assert evaluate() == 2

    assert not WebhookDelivery.objects.filter(event="alert.raised").exists()


@pytest.mark.parametrize(
    ("audience", "told"), [("operators", {"boss"}), ("user", {"ann"}), ("both", {"boss", "ann"})]
)
def test_a_rule_tells_operators_the_user_or_both(audience: str, told: set[str]) -> None:
    make_admin(username="boss")
    make_admin(username="nomail", email="")
    user = make_user(username="ann", balance=5)
    make_rule(AlertKind.BALANCE_BELOW, "1", user=user, audience=audience)

    evaluate()

    receivers = AlertDelivery.objects.values_list("user__username", flat=True)
    assert sorted(receivers) == sorted(told)


def test_a_rule_by_mail_to_nobody_still_has_its_alert() -> None:
    make_admin()
    make_rule(AlertKind.BALANCE_BELOW, "1", user=make_user(balance=5), is_mailed=False)

    assert evaluate() == 1
    assert not AlertDelivery.objects.exists()


@pytest.mark.parametrize(("tells", "told"), [(True, ["raised", "resolved"]), (False, ["raised"])])
def test_the_end_is_told_where_the_rule_says_so(tells: bool, told: list[str]) -> None:
    make_admin()
    channel = make_channel()
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10", tells_recovery=tells)
    for remaining in ("9", "99"):
        snapshot(channel, remaining)
        evaluate()

    assert list(AlertDelivery.objects.order_by("pk").values_list("event", flat=True)) == told


def overtaken(monkeypatch: pytest.MonkeyPatch, code: AlertKind, name: str, meanwhile: Any) -> None:
    """Evaluate, and have somebody else act and evaluate just after the values were read."""
    kind = KINDS[code]

    def read(*arguments: Any) -> Iterable[Any]:
        values = list(getattr(kind, name)(*arguments))
        monkeypatch.setitem(KINDS, code, kind)
        meanwhile()
        evaluate()
        return values

    monkeypatch.setitem(KINDS, code, replace(kind, **{name: read}))
    evaluate()


def test_a_value_from_before_a_recovery_raises_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    channel, user = make_channel(), make_user(balance=5)
    make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10")
    own_rule(user, AlertKind.BALANCE_BELOW, "1")
    snapshot(channel, "9")
    evaluate()
    assert episodes() == [(1, True), (1, True)]

    overtaken(
        monkeypatch,
        AlertKind.CHANNEL_BALANCE_BELOW,
        "read",
        lambda: snapshot(channel, "99", at=NOON + SECOND),
    )
    spend(user, 1)
    overtaken(monkeypatch, AlertKind.BALANCE_BELOW, "read_users", lambda: top_up(user, 5 * USD))

    assert episodes() == [(1, False), (1, False)]


def test_the_jobs_run_often_enough_to_tell_within_half_a_minute() -> None:
    every = {job["task"]: job["schedule"] for job in settings.CELERY_BEAT_SCHEDULE.values()}

    assert every[tasks.evaluate_alerts.name] + every[tasks.deliver_alerts.name] <= 15
    assert tasks.forget_alert_deliveries.name in every
