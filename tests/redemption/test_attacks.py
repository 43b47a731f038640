"""Noticing that somebody guesses codes, and telling operators once."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import OperationalError, connection
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from accounts.models import User
from billing.models import WebhookDelivery
from redemption import tasks
from redemption.models import AttackMail, CodeAttack, RefusedAttempts
from redemption.services import attack_mails, attacks
from redemption.services.windows import OWN
from tests.factories import NOON, make_admin, make_root, make_user, make_webhook
from tests.redemption.guessing import MINUTE, guess

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def loose(settings: Settings) -> None:
    """Limits that are out of the way."""
    settings.REDEEM_FAILURES_PER_USER = settings.REDEEM_FAILURES_PER_ADDRESS = 10_000


@pytest.fixture
def attack(settings: Settings) -> CodeAttack:
    """One that was just noticed: three people, two addresses, 12 refusals and 3 throttled attempts."""
    settings.CODE_ATTACK_REFUSALS = 12
    guess(make_user(username="mallory"), 13)
    guess(make_user(), 1, address="198.51.100.1")
    settings.REDEEM_FAILURES_PER_ADDRESS = 10
    guess(make_user(), 1, address="198.51.100.1")
    late = User.objects.get(username="mallory")
    guess(late, 1)
    attacks.watch(at=NOON)
    return CodeAttack.objects.get()


@pytest.fixture(autouse=True)
def _forget_own_windows() -> Iterator[None]:
    yield
    OWN.clear()


def is_noticed(at: Any = NOON) -> bool:
    attacks.watch(at=at)
    return CodeAttack.objects.exists()


# --- What an attack is ------------------------------------------------------------------------


@pytest.mark.usefixtures("loose")
@pytest.mark.parametrize("count", [99, 100])
def test_a_hundred_refusals_within_an_hour_are_an_attack(count: int) -> None:
    mine = count // 2
    guess(make_user(), mine, address="192.0.2.1", at=NOON - 59 * MINUTE)
    guess(make_user(), count - mine, address="192.0.2.2")

    assert is_noticed() == (count == 100)


@pytest.mark.usefixtures("loose")
def test_what_was_refused_more_than_an_hour_ago_does_not_count() -> None:
    guess(make_user(), 50, at=NOON - 60 * MINUTE)
    guess(make_user(), 50)

    assert not is_noticed()


@pytest.mark.parametrize("count", [19, 20])
def test_twenty_throttled_attempts_of_one_person_are_an_attack(count: int) -> None:
    user = make_user()
    guess(user, 10)
    for number in range(count):
        guess(user, 1, address=f"192.0.2.{number}")

    assert is_noticed() == (count == 20)


@pytest.mark.parametrize("count", [19, 20])
def test_twenty_throttled_attempts_from_one_address_are_an_attack(settings: Settings, count: int) -> None:
    settings.REDEEM_FAILURES_PER_ADDRESS = 1
    guess(make_user(), 1)
    for _person in range(count):
        guess(make_user(), 1)

    assert is_noticed() == (count == 20)


def test_throttled_attempts_of_many_in_many_places_are_none(settings: Settings) -> None:
    settings.REDEEM_FAILURES_PER_USER = 1
    for number in range(15):
        guess(make_user(), 3, address=f"192.0.2.{number}")

    assert not is_noticed()


def test_people_whose_address_nobody_knows_are_not_taken_for_one(settings: Settings) -> None:
    settings.REDEEM_FAILURES_PER_USER = 1
    for _person in range(15):
        guess(make_user(), 3, address=None)

    assert not is_noticed()


def test_when_the_limit_of_all_together_is_reached_it_is_an_attack(settings: Settings) -> None:
    settings.REDEEM_FAILURES_IN_ALL = 15
    guess(make_user(), 10)
    guess(make_user(), 5)

    assert is_noticed()


# --- From its beginning to its end ------------------------------------------------------------


def test_an_attack_says_how_many_tried_how_much(attack: CodeAttack) -> None:
    assert (attack.started_at, attack.last_seen_at, attack.ended_at) == (NOON, NOON, None)
    assert (attack.refused_count, attack.throttled_count) == (12, 4)
    assert (attack.user_count, attack.address_count) == (3, 2)


def test_while_it_is_on_it_is_followed_and_told_once(attack: CodeAttack) -> None:
    make_webhook()
    guess(User.objects.get(username="mallory"), 5, at=NOON + MINUTE)

    attacks.watch(at=NOON + 2 * MINUTE)
    attacks.watch(at=NOON + 3 * MINUTE)

    attack = CodeAttack.objects.get()
    assert (attack.throttled_count, attack.last_seen_at, attack.ended_at) == (9, NOON + 2 * MINUTE, None)
    assert not WebhookDelivery.objects.exists()


def test_it_is_over_when_nobody_tried_for_an_hour(attack: CodeAttack) -> None:
    guess(make_user(), 1, address="203.0.113.1", at=NOON + 30 * MINUTE)

    attacks.watch(at=NOON + 89 * MINUTE)
    before = CodeAttack.objects.get().ended_at
    attacks.watch(at=NOON + 90 * MINUTE)
    attack = CodeAttack.objects.get()

    assert (before, attack.ended_at) == (None, NOON + 90 * MINUTE)
    assert (attack.refused_count, attack.user_count) == (13, 4)


def test_an_attack_whose_records_are_gone_is_over_and_keeps_its_numbers(attack: CodeAttack) -> None:
    RefusedAttempts.objects.all().delete()

    attacks.watch(at=NOON + MINUTE)

    attack = CodeAttack.objects.get()
    assert (attack.ended_at, attack.refused_count) == (NOON + MINUTE, 12)


def test_after_it_is_over_the_next_one_is_told_again(settings: Settings) -> None:
    settings.CODE_ATTACK_REFUSALS = 10
    make_webhook()
    make_admin()

    for start in (NOON, NOON + 2 * HOUR):
        guess(make_user(), 10, address=f"192.0.2.{start.hour}", at=start)
        attacks.watch(at=start)
        attacks.watch(at=start + HOUR)
        attack_mails.send_due(at=start + HOUR)

    assert CodeAttack.objects.filter(ended_at__isnull=False).count() == 2
    assert WebhookDelivery.objects.filter(event="code.attack").count() == 2
    assert len(mail.outbox) == 2


def test_in_quiet_times_watching_costs_two_probes(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    guess(make_user(), 3)

    with django_assert_num_queries(2):
        attacks.watch(at=NOON)


def test_the_schedule_watches_several_times_within_half_a_minute(settings: Settings) -> None:
    job = settings.CELERY_BEAT_SCHEDULE["watch-attacks"]

    assert job["schedule"] <= 15
    assert job["task"] == tasks.watch_attacks.name
    assert settings.CELERY_BEAT_SCHEDULE["forget-attempts"]["task"] == tasks.forget_attempts.name


# --- Who is told ------------------------------------------------------------------------------


def test_webhooks_are_told(settings: Settings) -> None:
    settings.CODE_ATTACK_REFUSALS = 10
    make_webhook(events=["code.attack"])
    make_webhook(events=["code.redeemed"])
    guess(make_user(), 12)

    attacks.watch(at=NOON)

    told = WebhookDelivery.objects.get()
    assert told.payload["event"] == "code.attack"
    assert told.payload["data"] == {
        "attack_id": CodeAttack.objects.get().pk,
        "refused": 10,
        "throttled": 2,
        "users": 1,
        "addresses": 1,
    }


def test_every_enabled_operator_who_can_read_mail_gets_one(settings: Settings) -> None:
    settings.CODE_ATTACK_REFUSALS = 10
    told = [make_admin(), make_root()]
    make_admin(email="")
    User.objects.filter(pk=make_admin().pk).update(status="disabled")
    guess(make_user(), 10)
    attacks.watch(at=NOON)

    attack_mails.send_due(at=NOON)
    attack_mails.send_due(at=NOON + HOUR)

    assert sorted(one.to for one in mail.outbox) == sorted([user.email] for user in told)
    assert list(AttackMail.objects.order_by("user").values_list("user", flat=True)) == [u.pk for u in told]
    assert not attack_mails.are_due(at=NOON + HOUR)


def test_the_mail_says_what_happened_and_where_to_look(settings: Settings) -> None:
    settings.CODE_ATTACK_REFUSALS, settings.BASE_URL = 10, "https://quota.example.com"
    make_admin()
    guess(make_user(), 12)
    attacks.watch(at=NOON)

    attack_mails.send_due(at=NOON)

    [sent] = mail.outbox
    assert sent.subject == "[oneapi-admin] Somebody is guessing redemption codes"
    assert "2026-03-02 12:00 UTC" in sent.body
    assert "10 codes were refused and 2 attempts throttled; user accounts: 1, addresses: 1." in sent.body
    assert "https://quota.example.com/ops/health/" in sent.body


def test_without_a_base_url_the_mail_has_no_link(settings: Settings) -> None:
    settings.CODE_ATTACK_REFUSALS, settings.BASE_URL = 10, ""
    make_admin()
    guess(make_user(), 10)
    attacks.watch(at=NOON)

    attack_mails.send_due(at=NOON)

    assert "/ops/" not in mail.outbox[0].body


@pytest.mark.parametrize(
    ("language", "subject"),
    [
        ("zh-hans", "[oneapi-admin] 有人在猜测兑换码"),
        ("en", "[oneapi-admin] Somebody is guessing redemption codes"),
        ("", "[oneapi-admin] Somebody is guessing redemption codes"),
    ],
)
def test_the_mail_is_in_the_language_of_its_reader(settings: Settings, language: str, subject: str) -> None:
    settings.CODE_ATTACK_REFUSALS = 10
    User.objects.filter(pk=make_admin().pk).update(language=language)
    guess(make_user(), 10)
    attacks.watch(at=NOON)

    attack_mails.send_due(at=NOON)

    assert [sent.subject for sent in mail.outbox] == [subject]


def test_an_attack_is_not_noted_without_its_alert(settings: Settings) -> None:
    settings.CODE_ATTACK_REFUSALS = 10
    make_webhook()
    make_admin()
    guess(make_user(), 10)

    with connection.execute_wrapper(_refuse_writing_deliveries), pytest.raises(OperationalError):
        attacks.watch(at=NOON)

    assert not CodeAttack.objects.exists()
    assert not AttackMail.objects.exists()


def _refuse_writing_deliveries(execute: Any, sql: str, *rest: Any) -> Any:
    if "INSERT" in sql and "webhookdelivery" in sql:
        raise OperationalError("disk full")
    return execute(sql, *rest)


# --- Mail that does not get out ---------------------------------------------------------------


@pytest.fixture
def noticed(settings: Settings) -> User:
    """The one operator there is; an attack was noticed at noon."""
    settings.CODE_ATTACK_REFUSALS = 10
    operator = make_admin()
    guess(make_user(), 10)
    attacks.watch(at=NOON)
    return operator


@pytest.fixture
def mail_away(settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9


def test_a_mail_that_does_not_get_out_is_sent_later(
    noticed: User, mail_away: None, settings: Settings
) -> None:
    attack_mails.send_due(at=NOON)
    at_once = attack_mails.are_due(at=NOON + 59 * timedelta(seconds=1))
    later = attack_mails.are_due(at=NOON + MINUTE)
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    attack_mails.send_due(at=NOON + MINUTE)

    assert (at_once, later) == (False, True)
    assert [one.to for one in mail.outbox] == [[noticed.email]]
    assert AttackMail.objects.get().sent_at == NOON + MINUTE


def test_after_six_attempts_it_is_over(noticed: User, mail_away: None) -> None:
    for day in range(8):
        attack_mails.send_due(at=NOON + timedelta(days=day))

    [tried] = AttackMail.objects.all()
    assert (tried.attempts, tried.next_attempt_at, tried.sent_at) == (6, None, None)


def test_who_is_disabled_meanwhile_gets_no_mail(noticed: User) -> None:
    User.objects.filter(pk=noticed.pk).update(status="disabled")

    attack_mails.send_due(at=NOON)

    assert mail.outbox == []
    assert not attack_mails.are_due(at=NOON + HOUR)


def test_what_somebody_is_sending_nobody_else_sends_unless_they_died(
    noticed: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_arguments: Any) -> None:
        attack_mails.send_due(at=NOON + 30 * timedelta(seconds=1))
        raise KeyboardInterrupt

    monkeypatch.setattr(attack_mails, "_send_to", die)
    with pytest.raises(KeyboardInterrupt):
        attack_mails.send_due(at=NOON)
    meanwhile = len(mail.outbox)
    monkeypatch.undo()
    attack_mails.send_due(at=NOON + MINUTE)

    assert (meanwhile, len(mail.outbox)) == (0, 1)


# --- Jobs -------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_job_notices_and_has_the_mails_sent(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.CODE_ATTACK_REFUSALS = 10
    asked: list[str] = []
    monkeypatch.setattr(attack_mails, "enqueue", asked.append)
    monkeypatch.setattr(tasks, "enqueue", asked.append)
    monkeypatch.setattr("django.utils.timezone.now", lambda: NOON)
    make_admin()
    guess(make_user(), 10)

    tasks.watch_attacks()
    at_once = list(asked)
    tasks.watch_attacks()
    tasks.send_attack_mails()
    asked.clear()
    tasks.watch_attacks()

    assert set(at_once) == {tasks.send_attack_mails.name}
    assert len(mail.outbox) == 1
    assert asked == []
