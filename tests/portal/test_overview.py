from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries, Settings

from accounts.models import User
from billing.models import BalanceKind
from billing.queries.overview import daily_use
from billing.services import calls, channels
from billing.services.calls import settle
from tests.factories import (
    NOON,
    account_of,
    admit_request,
    make_admin,
    make_channel,
    make_root,
    make_snapshot,
    make_token,
    make_user,
    settlement,
)

URL = "/"


def _spend(user: User, *quotas: int, at: datetime = NOON) -> None:
    token, channel = make_token(user), make_channel()
    settle(settlements=[settlement(token, channel, quota=quota, created_at=at) for quota in quotas], at=at)


def test_the_overview_shows_what_is_left_held_and_used(console: Client, ann: User) -> None:
    _spend(ann, 250_000)
    calls.admit(requests=[admit_request(make_token(ann), estimate=500_000)], at=NOON)

    account = console.get(URL).context["account"]

    assert (account.available, account.held, account.used_quota) == (4_250_000, 500_000, 250_000)


def _spend_hourly(user: User, quota: int, *, hours: int = 48) -> None:
    token, channel, now = make_token(user), make_channel(), timezone.now()
    moments = [now - timedelta(hours=number + 1) for number in range(hours)]
    settle(settlements=[settlement(token, channel, quota=quota, created_at=at) for at in moments], at=now)


def test_when_the_quota_runs_out_stands_beside_it(console: Client, ann: User) -> None:
    _spend_hourly(ann, 100_000)

    text = console.get(URL).text

    assert account_of(ann).available == 200_000
    assert "Runs out in about 2 h" in text
    assert "Your user quota on this service" not in text


def test_quota_that_lasts_is_said_to_last(console: Client, ann: User) -> None:
    _spend_hourly(ann, 10)

    assert "Lasts longer than 4 weeks" in console.get(URL).text


def test_who_began_lately_or_never_called_is_told_nothing_of_it(console: Client, ann: User) -> None:
    never = console.get(URL).text
    _spend(ann, 100_000, at=timezone.now())

    for text in (never, console.get(URL).text):
        assert "Your user quota on this service" in text
        assert "uns out" not in text


def test_used_up_quota_is_not_forecast_but_refused(console: Client, ann: User) -> None:
    _spend_hourly(ann, 200_000)

    text = console.get(URL).text

    assert account_of(ann).available < 0
    assert "Calls are refused until you add quota" in text
    assert "run out" not in text


def test_todays_use_is_that_of_the_utc_day(console: Client, ann: User) -> None:
    _spend(ann, 100, 200, at=timezone.now())
    _spend(ann, 1000, at=timezone.now() - timedelta(days=1))

    response = console.get(URL)

    assert (response.context["today"].quota, response.context["today"].request_count) == (300, 2)
    assert "2 calls, 30 tokens" in response.text


def test_days_without_calls_are_in_the_chart_and_other_peoples_calls_are_not(ann: User) -> None:
    _spend(ann, 100)
    _spend(make_user(balance=10_000), 999)

    days = daily_use(user=ann, today=NOON.date() + timedelta(days=1))

    assert [day.quota for day in days] == [0] * 12 + [100, 0]
    assert days[0].day == NOON.date() - timedelta(days=12)


def test_a_person_without_an_account_sees_zeros_and_the_first_steps(db: None) -> None:
    newcomer = make_user()
    account_of(newcomer).delete()
    client = Client()
    client.force_login(newcomer)

    response = client.get(URL)

    assert response.context["account"].available == 0
    assert "Getting started" in response.text
    assert "Calls are refused until you add quota" in response.text


def test_only_models_of_enabled_channels_of_the_persons_group_are_available(
    console: Client, ann: User
) -> None:
    make_channel(models=["ours", "also-ours"])
    make_channel(models=["theirs"], groups=["vip"])
    off = make_channel(models=["off"])
    channels.set_channel_status(actor=None, channel=off, is_enabled=False)

    assert console.get(URL).context["models"] == ["also-ours", "ours"]


def test_no_enabled_channel_is_said_plainly(console: Client) -> None:
    assert "No enabled channel serves the group “default”" in console.get(URL).text


def test_both_quotas_and_their_errors_are_explained(console: Client) -> None:
    text = console.get(URL).text

    for code in ("insufficient_user_quota", "pre_consume_token_quota_failed", "upstream_unavailable"):
        assert code in text


def test_an_ordinary_person_sees_no_amount_of_the_provider(console: Client) -> None:
    channel = make_channel(name="secret upstream")
    make_snapshot(channel=channel, kind=BalanceKind.BALANCE, remaining=Decimal("612.50"), created_at=NOON)

    response = console.get(URL)

    assert response.context["upstream"] is None
    assert "612.50" not in response.text
    assert "secret upstream" not in response.text


def test_an_operator_sees_the_newest_amounts_and_unknown_is_not_zero(db: None) -> None:
    channel = make_channel()
    for amount in ("700", "612.5"):
        make_snapshot(channel=channel, kind=BalanceKind.BALANCE, remaining=Decimal(amount), created_at=NOON)
    client = Client()
    client.force_login(make_admin())

    response = client.get(URL)

    assert "$612.50" in response.text
    assert "$700" not in response.text
    assert response.context["upstream"][0].spend is None
    assert "unknown" in response.text


def test_the_example_names_this_site_and_a_model_that_works(console: Client) -> None:
    make_channel(models=["test-model"])

    text = console.get(URL).text

    assert "curl http://testserver/v1/chat/completions" in text
    assert "&quot;model&quot;: &quot;test-model&quot;" in text or '"model": "test-model"' in text


def test_the_example_uses_the_configured_address(console: Client, settings: Settings) -> None:
    settings.BASE_URL = "https://llm.example.com"

    assert console.get(URL).context["base_url"] == "https://llm.example.com/v1"


def test_the_overview_takes_few_queries_however_much_there_is(
    console: Client, ann: User, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for _ in range(8):
        _spend(ann, 5, at=datetime.now(UTC))

    with django_assert_max_num_queries(12):
        console.get(reverse("portal:overview"))


def test_an_operator_sees_a_channel_that_never_told_its_balance_as_unknown(db: None, client: Client) -> None:
    make_channel()
    client.force_login(make_root())

    answer = client.get("/")

    assert answer.status_code == 200
    assert "unknown" in answer.content.decode()
