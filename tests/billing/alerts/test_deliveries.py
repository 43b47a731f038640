"""From the outbox to the receiver: mails, chats, digests, and what happens when nobody takes them."""

from datetime import datetime, time, timedelta
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone
from pytest_django.fixtures import Settings

from accounts.models import User
from billing import tasks
from billing.models import Alert, AlertDelivery, AlertKind, AlertScope, WebhookDelivery
from billing.services.alerts import delivering, destinations
from tests.billing.alerts.making import (
    HOUR,
    MINUTE,
    SECOND,
    USD,
    evaluate,
    make_rule,
    own_rule,
    snapshot,
    spend,
)
from tests.factories import NOON, make_admin, make_channel, make_root, make_user, make_webhook
from tests.support.chat_services import ChatServices

pytestmark = pytest.mark.django_db
FEISHU = "feishu://0123-secret-abcd"


@pytest.fixture
def operator() -> User:
    return make_admin(username="boss", email="boss@example.com")


def fall(*names: str, at: datetime = NOON, **rule: Any) -> None:
    """Channels run out of money, and a rule about each of them tells of it."""
    for name in names or ("first",):
        channel = make_channel(name=name)
        make_rule(AlertKind.CHANNEL_BALANCE_BELOW, "10", at=at, channel=channel, **rule)
        snapshot(channel, "9", at=at)
    evaluate(at)


def log() -> list[tuple[str, int, str]]:
    """Status, attempts and error of everything in the outbox."""
    rows = AlertDelivery.objects.order_by("pk").values_list("status", "attempts", "error")
    return [(status, attempts, error) for status, attempts, error in rows]


def robot(**fields: Any) -> Any:
    said = {"owner": None, "actor": None, "name": "robot", "address": FEISHU, "at": NOON, **fields}
    return destinations.add_destination(**said)


# --- Mail -------------------------------------------------------------------------------------


def test_an_alert_is_mailed_once(operator: User) -> None:
    fall()

    assert [delivering.deliver_due(at=NOON), delivering.deliver_due(at=NOON)] == [1, 0]

    [sent] = mail.outbox
    assert sent.to == ["boss@example.com"]
    assert sent.subject == "[oneapi-admin] Channel “first” has 9.00 USD left with its provider"
    assert log() == [("delivered", 1, "")]
    assert sent.extra_headers["Message-ID"] == f"<{AlertDelivery.objects.get().message_id}@oneapi-admin>"


def test_what_is_due_at_the_same_time_comes_in_one_mail_for_each_reader(operator: User) -> None:
    make_admin(email="other@example.com")
    fall("first", "second", "third")

    assert delivering.deliver_due(at=NOON) == 6

    assert sorted(sent.to[0] for sent in mail.outbox) == ["boss@example.com", "other@example.com"]
    assert {sent.subject for sent in mail.outbox} == {"[oneapi-admin] 3 alerts"}
    assert all(name in mail.outbox[0].body for name in ("first", "second", "third"))
    assert AlertDelivery.objects.values("message_id").distinct().count() == 2


def test_a_mail_that_is_not_taken_is_sent_again_with_the_same_id_and_the_same_alerts(
    operator: User, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    fall("first")
    delivering.deliver_due(at=NOON)
    [(status, attempts, error)] = log()
    waiting = AlertDelivery.objects.get()
    assert (status, attempts) == ("pending", 1)
    assert "refused" in error
    assert 30 <= (waiting.next_attempt_at - NOON).total_seconds() < 33
    fall("second", at=NOON + SECOND)

    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert delivering.deliver_due(at=NOON + SECOND) == 1
    assert delivering.deliver_due(at=waiting.next_attempt_at) == 1

    later, again = mail.outbox
    assert again.extra_headers["Message-ID"] == f"<{waiting.message_id}@oneapi-admin>"
    assert ("second" in later.body, "first" in again.body, "second" in again.body) == (True, True, False)
    assert log() == [("delivered", 2, ""), ("delivered", 1, "")]


def test_what_is_new_when_a_mail_is_sent_again_comes_in_a_mail_of_its_own(
    operator: User, settings: Settings
) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    fall("first")
    delivering.deliver_due(at=NOON)
    again_at = AlertDelivery.objects.get().next_attempt_at
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    fall("second", at=again_at)

    assert [delivering.deliver_due(at=again_at) for _turn in range(3)] == [1, 1, 0]
    assert [("first" in sent.body, "second" in sent.body) for sent in mail.outbox] == [
        (True, False),
        (False, True),
    ]


def test_after_a_day_it_is_given_up_with_the_reason(operator: User, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    fall()
    at, attempts = NOON, 0

    while AlertDelivery.objects.filter(status="pending").exists():
        assert delivering.deliver_due(at=at) == 1
        at = AlertDelivery.objects.get().next_attempt_at or at
        attempts += 1

    [(status, counted, error)] = log()
    assert (status, counted, attempts) == ("failed", 10, 10)
    assert "refused" in error
    assert timedelta(hours=23) < at - NOON < timedelta(hours=26)
    assert delivering.deliver_due(at=at + 48 * HOUR) == 0


def test_who_has_no_address_any_more_is_noted_as_such(operator: User) -> None:
    fall()
    User.objects.filter(pk=operator.pk).update(email="")

    for _again in range(10):
        delivering.deliver_due(at=AlertDelivery.objects.get().next_attempt_at or NOON)

    assert mail.outbox == []
    assert log() == [("failed", 10, "There is no e-mail address to send it to.")]


def test_whoever_died_while_sending_is_followed_after_two_minutes(operator: User) -> None:
    fall()
    delivering._claim(NOON)

    assert delivering.deliver_due(at=NOON + MINUTE) == 0
    assert delivering.deliver_due(at=NOON + 2 * MINUTE) == 1
    assert log() == [("delivered", 2, "")]


def test_whoever_comes_back_late_does_not_overwrite_what_others_noted(operator: User) -> None:
    fall()
    [late] = delivering._claim(NOON)
    delivering.deliver_due(at=NOON + 2 * MINUTE)

    delivering._record(late, delivering._Outcome("too late", timedelta(0)), NOON)

    assert log() == [("delivered", 2, "")]


def test_a_message_has_a_hundred_alerts_at_most(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "_IN_A_MESSAGE", 2)
    fall("first", "second", "third")

    assert [delivering.deliver_due(at=NOON) for _turn in range(3)] == [2, 1, 0]


# --- Quiet hours and digests ------------------------------------------------------------------


def test_during_quiet_hours_mail_waits_and_critical_alerts_do_not(operator: User) -> None:
    night = {"quiet_from": time(11), "quiet_until": time(13), "time_zone": "UTC"}
    fall("first", **night)
    fall("second", critical_thresholds=["10"], **night)

    assert delivering.deliver_due(at=NOON) == 1
    assert delivering.deliver_due(at=NOON + 59 * MINUTE) == 0
    assert "second" in mail.outbox[0].body
    assert delivering.deliver_due(at=NOON + 60 * MINUTE) == 1


def test_attempts_are_not_made_in_quiet_hours_either(operator: User, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    fall(quiet_from=time(12, 0, 20), quiet_until=time(18), time_zone="UTC")

    delivering.deliver_due(at=NOON)

    assert AlertDelivery.objects.get().next_attempt_at == NOON + 6 * HOUR


def test_a_digest_collects_what_happened_until_then(operator: User) -> None:
    fall("first", digest_minutes=60)
    fall("second", at=NOON + 20 * MINUTE, digest_minutes=60)

    assert delivering.deliver_due(at=NOON + 59 * MINUTE) == 0
    assert delivering.deliver_due(at=NOON + 60 * MINUTE) == 2

    [sent] = mail.outbox
    assert sent.subject == "[oneapi-admin] 2 alerts"


# --- Chat services ----------------------------------------------------------------------------


@pytest.mark.parametrize(("is_named", "told"), [(False, {"root"}), (True, {"root", "boss", "robot", "shop"})])
def test_of_roots_quota_a_rule_about_everybody_tells_no_other_operator(
    services: ChatServices, operator: User, is_named: bool, told: set[str]
) -> None:
    root = make_root(username="root", email="root@example.com", balance=USD)
    make_webhook(name="shop", events=["alert.raised"])
    scope = {"user": root} if is_named else {"scope": AlertScope.ALL_USERS}
    make_rule(AlertKind.QUOTA_USED, "80", destinations=[robot()], **scope)
    evaluate()

    spend(root, USD)
    evaluate()

    receivers = AlertDelivery.objects.values_list("user__username", "destination__name")
    webhooks = WebhookDelivery.objects.values_list("webhook__name", flat=True)
    assert {name for names in receivers for name in names if name} | set(webhooks) == told


def test_an_alert_reaches_the_chosen_robots(services: ChatServices) -> None:
    chosen = robot()
    robot(name="another")
    fall(destinations=[chosen], is_mailed=False)

    assert delivering.deliver_due(at=NOON) == 1

    [(path, body)] = services.received
    assert path.endswith("/0123-secret-abcd/")
    assert "first" in body
    assert AlertDelivery.objects.get().destination == chosen


def test_a_robot_that_refuses_is_tried_again_and_the_reason_is_kept(services: ChatServices) -> None:
    services.status = 500
    fall(destinations=[robot()], is_mailed=False)
    delivering.deliver_due(at=NOON)
    [(status, _attempts, error)] = log()
    services.status = 200

    delivering.deliver_due(at=AlertDelivery.objects.get().next_attempt_at)

    assert status == "pending"
    assert error
    assert "secret" not in error
    assert log() == [("delivered", 2, "")]


def test_an_address_under_a_lost_key_is_noted_and_stops_no_other(
    services: ChatServices, operator: User
) -> None:
    broken = robot()
    type(broken).objects.update(encrypted_address="gone")
    fall(destinations=[broken])

    delivering.deliver_due(at=NOON)

    assert sorted(log()) == [
        ("delivered", 1, ""),
        ("pending", 1, "The address cannot be read any more: add it again."),
    ]


def test_a_removed_destination_is_sent_nothing(services: ChatServices) -> None:
    chosen = robot()
    fall(destinations=[chosen], is_mailed=False)

    destinations.remove_destination(actor=None, destination=chosen)

    assert delivering.deliver_due(at=NOON) == 0
    assert services.received == []


def test_the_owner_of_a_rule_is_told_at_their_own_robot(services: ChatServices) -> None:
    ann = make_user(balance=5)
    own_rule(ann, AlertKind.BALANCE_BELOW, "1", destinations=[robot(owner=ann, actor=ann)])
    evaluate()

    assert delivering.deliver_due(at=NOON) == 2

    assert len(services.received) == 1
    assert [sent.to for sent in mail.outbox] == [[ann.email]]


# --- The job ----------------------------------------------------------------------------------


def test_deliveries_are_asked_for_once_the_alert_is_committed(
    operator: User, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("billing.services.alerts.outbox.enqueue", asked.append)

    with django_capture_on_commit_callbacks(execute=True):
        fall("first", "second")

    assert asked == ["billing.deliver_alerts"]


def test_the_job_asks_for_itself_again_while_there_is_something(
    operator: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(tasks, "enqueue", asked.append)
    fall(at=timezone.now())

    tasks.deliver_alerts()
    tasks.deliver_alerts()

    assert asked == ["billing.deliver_alerts"]


def test_deliveries_are_forgotten_after_ninety_days_and_alerts_are_not(operator: User) -> None:
    fall()
    delivering.deliver_due(at=NOON)
    AlertDelivery.objects.update(created_at=timezone.now() - timedelta(days=91))
    fall("second", at=timezone.now())

    tasks.forget_alert_deliveries()

    assert AlertDelivery.objects.get().alert.subject_name == "second"
    assert Alert.objects.count() == 2
