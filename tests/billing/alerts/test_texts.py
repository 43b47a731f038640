"""What alerts say: in the reader's language, with what to do and where."""

from decimal import Decimal

import pytest
from django.conf import settings as product
from django.utils import translation
from pytest_django.fixtures import Settings

from billing.models import Alert, AlertDelivery, AlertKind, AlertRule, AlertSubject
from billing.services.alerts.kinds import KINDS
from billing.services.alerts.readings import Unit
from billing.services.alerts.texts import headline, message, written
from tests.factories import NOON


def delivery(kind: AlertKind, **fields: object) -> AlertDelivery:
    said = {
        "subject_type": AlertSubject.CHANNEL,
        "subject_id": 7,
        "subject_name": "first",
        "threshold": Decimal(10),
        "value": Decimal("9.5"),
        "severity": "warning",
        "raised_at": NOON,
        **fields,
    }
    event = said.pop("event", "raised")
    alert = Alert(rule=AlertRule(name="low", kind=kind), **said)
    return AlertDelivery(alert=alert, event=event)


@pytest.mark.parametrize("kind", AlertKind)
@pytest.mark.parametrize("language", [code for code, _name in product.LANGUAGES])
def test_every_kind_has_its_text_and_its_advice(kind: AlertKind, language: str, settings: Settings) -> None:
    settings.BASE_URL = "https://quota.example.com"

    said = message([delivery(kind)], language=language, reader_id=None)

    assert said.title
    assert "%(" not in said.title + said.body
    assert len(said.body.strip().splitlines()) == 5
    assert said.body.strip().splitlines()[-1] == "https://quota.example.com/ops/channels/7/edit/"


def test_a_message_says_what_since_when_what_to_do_and_where(settings: Settings) -> None:
    settings.BASE_URL = "https://quota.example.com"

    said = message(
        [delivery(AlertKind.CHANNEL_BALANCE_BELOW, facts={"currency": "CNY"})], language="en", reader_id=None
    )

    assert said.title == "Channel “first” has 9.50 CNY left with its provider"
    assert said.body == (
        "Channel “first” has 9.50 CNY left with its provider\n"
        "Rule “low”, threshold 10.00 CNY.\n"
        "Noticed at 2026-03-02 12:00 UTC.\n"
        "Recharge the account with the provider; an empty one is disabled until then.\n"
        "https://quota.example.com/ops/channels/7/edit/\n"
    )


def test_users_are_sent_to_their_own_pages_and_operators_to_the_users(settings: Settings) -> None:
    settings.BASE_URL = "https://quota.example.com"
    about = {"subject_type": AlertSubject.USER, "subject_id": 5, "subject_name": "ann", "user_id": 5}
    row = delivery(AlertKind.BALANCE_BELOW, **about)
    token = delivery(AlertKind.TOKEN_LIMIT_USED, **{**about, "subject_type": AlertSubject.TOKEN})

    own, others = message([row], language="", reader_id=5), message([row], language="", reader_id=6)

    assert own.body.splitlines()[-2:] == [
        "Redeem a code or ask an operator for quota: without it calls fail.",
        "https://quota.example.com/",
    ]
    assert others.body.splitlines()[-2:] == [
        "Top up the account before its calls are refused.",
        "https://quota.example.com/ops/users/5/",
    ]
    assert (
        message([token], language="", reader_id=5).body.splitlines()[-1]
        == "https://quota.example.com/tokens/"
    )


def test_the_end_is_told_with_its_span() -> None:
    over = delivery(AlertKind.CHANNEL_DISABLED, event="resolved", resolved_at=NOON)

    said = message([over], language="en", reader_id=None)

    assert said.title == "It is over: Channel “first” disabled itself: the reason is not known"
    assert "It lasted from 2026-03-02 12:00 UTC to 2026-03-02 12:00 UTC." in said.body


def test_what_is_critical_says_so() -> None:
    said = message([delivery(AlertKind.AUDIT_FAILED, severity="critical")], language="en", reader_id=None)

    assert said.title.startswith("Critical: ")


def test_of_many_alerts_twenty_are_described() -> None:
    rows = [delivery(AlertKind.CHANNEL_DISABLED, subject_name=f"channel {number}.") for number in range(25)]

    said = message(rows, language="en", reader_id=None)

    assert said.title == "25 alerts"
    assert said.body.count("disabled itself") == 20
    assert "And 5 more alerts." in said.body


def test_the_reason_of_a_disabled_channel_is_in_words() -> None:
    with translation.override("en"):
        row = delivery(AlertKind.CHANNEL_DISABLED, facts={"reason": "balance_exhausted"})
        assert headline(row.alert) == "Channel “first” disabled itself: The provider's account is empty"


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (Unit.PERCENT, "82.456", "82.5 %"),
        (Unit.PERCENT, "80", "80 %"),
        (Unit.USD, "1234.5", "$1,234.50"),
        (Unit.USD, "0.0104", "$0.0104"),
        (Unit.CURRENCY, "12.5", "12.50 CNY"),
        (Unit.HOURS, "3.25", "3.2 h"),
        (Unit.COUNT, "12", "12"),
    ],
)
def test_amounts_have_their_unit(unit: Unit, value: str, text: str) -> None:
    with translation.override("en"):
        assert written(Decimal(value), unit, currency="CNY") == text


def test_every_kind_is_described() -> None:
    assert set(KINDS) == set(AlertKind)
