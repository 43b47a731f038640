"""A rule is changed while its alerts come and go."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections

from accounts.services.access_tokens import create_access_token
from billing.models import AlertKind, AlertRule
from billing.services.alerts import raising
from tests.api.conftest import Answer, Program
from tests.billing.alerts.making import MINUTE, episodes, evaluate, make_rule, snapshot
from tests.factories import NOON, make_admin, make_channel
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
