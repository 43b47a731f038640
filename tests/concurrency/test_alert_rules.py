"""A rule is changed while its alerts come and go."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, connections, transaction

from accounts.services.access_tokens import create_access_token
from billing.models import Alert, AlertKind, AlertRule, Channel, ChannelStatus
from billing.services.alerts import raising, rules
from billing.services.alerts.usual import create_first_rule, create_usual_rules
from tests.api.conftest import Answer, Program
from tests.billing.alerts.making import MINUTE, episodes, evaluate, make_rule, snapshot
from tests.factories import NOON, make_admin, make_channel, make_user
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer: nobody waits for two")
def test_who_changes_a_rule_and_who_raises_its_next_alert_do_not_wait_for_each_other(monkeypatch) -> None:
    """Whoever raises has ended the episode before and then refers to the rule; whoever changes has the rule
    and then ends the episode."""
    channel, month = make_channel(), {"kind": "spend", "limit": 10}
    rule = make_rule(AlertKind.CHANNEL_LIMIT_USED, "80", channel=channel)
    snapshot(channel, "1", **month, resets_at=NOON + timedelta(days=5))
    evaluate()
    snapshot(channel, "1", **month, resets_at=NOON + timedelta(days=36), at=NOON + MINUTE)
    _token, key = create_access_token(actor=None, user=make_admin(), name="a program", scopes=["admin"])
    begin, changing = raising._begin, ThreadPoolExecutor(1)
    answers: list[Any] = []

    def change() -> Answer:
        try:
            return Program(key).patch(f"/alert-rules/{rule.pk}", {"thresholds": ["70"]})
        finally:
            connections.close_all()

    def begin_while_it_is_changed(*what: Any) -> int:
        answers.append(changing.submit(change))
        wait_until(somebody_waits_for_a_lock)
        return begin(*what)

    monkeypatch.setattr(raising, "_begin", begin_while_it_is_changed)
    evaluate(NOON + MINUTE)
    monkeypatch.undo()

    assert [answer.result().status for answer in answers] == [200]
    assert [episode for episode, _is_open in episodes()] == [1, 2]
    assert AlertRule.objects.get().thresholds == ["70"]
    changing.shutdown()


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone() != (0,)


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite has one writer: nobody waits for two")
@pytest.mark.parametrize("what", ["changed", "disabled", "deleted", "unwatched"])
def test_alerts_that_end_together_are_locked_in_one_order(what: str) -> None:
    """Whoever has the first one finds nobody waiting with the second."""
    first_channel, second_channel = make_channel(), make_channel()
    rule = make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "5")
    snapshot(first_channel, "1")
    snapshot(second_channel, "1")
    evaluate()
    first, second = Alert.objects.order_by("pk")
    Alert.objects.filter(pk=first.pk).update(value=2)  # it now stands behind the second one in the table
    ending = ThreadPoolExecutor(1)

    with transaction.atomic():
        Alert.objects.select_for_update().get(pk=first.pk)
        done = ending.submit(end_alerts, rule, what)
        wait_until(somebody_waits_for_a_lock)
        is_free = Alert.objects.select_for_update(skip_locked=True).filter(pk=second.pk).exists()

    done.result(timeout=30)
    ending.shutdown()
    assert is_free
    assert not Alert.objects.filter(resolved_at__isnull=True).exists()


def end_alerts(rule: AlertRule, what: str) -> None:
    settings = {"kind": rule.kind, "scope": rule.scope, "thresholds": ["1"], "name": "other"}
    try:
        if what == "changed":
            rules.update_rule(
                actor=None, rule=rule, settings=rules.RuleSettings(**settings), at=NOON + MINUTE
            )
        elif what == "disabled":
            rules.set_rule_status(actor=None, rule=rule, is_enabled=False, at=NOON + MINUTE)
        elif what == "deleted":
            rules.delete_rule(actor=None, rule=rule)
        else:
            Channel.objects.update(status=ChannelStatus.MANUALLY_DISABLED)
            evaluate(NOON + MINUTE)
    finally:
        connections.close_all()


@pytest.mark.parametrize("whose", ["operators", "own"])
def test_rules_to_begin_with_are_made_once_however_many_ask_at_once(whose: str) -> None:
    user = make_user()
    start = Barrier(4)

    def make(_number: int) -> None:
        try:
            start.wait(timeout=30)
            if whose == "own":
                create_first_rule(user=user, at=NOON)
            else:
                create_usual_rules(actor=None, at=NOON)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(4)))

    made = list(AlertRule.objects.values_list("kind", flat=True))
    assert made
    assert len(made) == len(set(made))
