from datetime import timedelta
from decimal import Decimal

from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from billing.models import Channel
from billing.services.calls import settle
from tests.factories import make_channel, make_root, make_snapshot, make_token, make_user, settlement

URL = "/ops/"


def snapshot(channel: Channel, remaining: str | None, **fields: object) -> None:
    amount = None if remaining is None else Decimal(remaining)
    data = {"kind": "balance", "created_at": timezone.now(), **fields}
    make_snapshot(channel=channel, remaining=amount, **data)


def test_the_first_steps_stand_there_until_all_are_done(root_client: Client, root: User) -> None:
    made = make_token(make_user(balance=1_000))
    channel = make_channel()
    before = root_client.get(URL)

    settle(settlements=[settlement(made, channel, quota=5, created_at=timezone.now())], at=timezone.now())

    steps = before.context["steps"]
    assert (steps.has_channel, steps.has_quota, steps.has_token, steps.has_call) == (True, True, True, False)
    assert "First steps" in before.content.decode()
    assert "First steps" not in root_client.get(URL).content.decode()


def test_both_quotas_stand_side_by_side_and_unknown_is_not_zero(root_client: Client) -> None:
    make_user(balance=1_500_000)
    known, yuan, unlimited = make_channel(), make_channel(), make_channel()
    make_channel(name="tells nothing")
    snapshot(known, "1")
    snapshot(known, "600.25")
    snapshot(known, "30", kind="spend")
    snapshot(yuan, "88.10", currency="CNY")
    snapshot(unlimited, None, is_unlimited=True)

    sides = root_client.get(URL).context["sides"]

    assert sides.owed == 1_500_000
    assert sides.upstream == 300_125_000
    assert (sides.known, sides.unknown, sides.unlimited) == (2, 1, 1)
    assert sides.others == {"CNY": Decimal("88.10")}


def test_without_any_known_balance_the_providers_side_says_unknown(root_client: Client) -> None:
    make_channel()

    answer = root_client.get(URL)

    assert answer.context["sides"].known == 0
    assert '<div class="stat-value">Unknown</div>' in answer.content.decode()


def test_an_old_balance_is_marked_as_old(root_client: Client) -> None:
    snapshot(make_channel(), "5", created_at=timezone.now() - timedelta(hours=1))

    answer = root_client.get(URL)

    assert answer.context["sides"].stale == 1
    assert "Old:" in answer.content.decode()


def test_what_is_left_is_a_bar_beside_the_largest_or_of_a_limit_and_nothing_where_it_is_unknown(
    root_client: Client,
) -> None:
    names = ("large", "small", "empty", "limited", "budget", "yuan", "unlimited", "over", "silent")
    made = {name: make_channel(name=name) for name in names}
    snapshot(made["large"], "400")
    snapshot(made["small"], "100")
    snapshot(made["empty"], "-3")
    spent = {"kind": "spend", "used": Decimal(960), "limit": Decimal(1000)}
    snapshot(made["limited"], None, **spent)
    snapshot(made["budget"], "15", kind="key_budget", limit=Decimal(60), currency="CNY")
    snapshot(made["yuan"], "88.10", currency="CNY")
    snapshot(made["unlimited"], None, is_unlimited=True)
    snapshot(made["over"], None, **spent, resets_at=timezone.now() - timedelta(minutes=1))

    answer = root_client.get(URL)

    bars = {row.channel.name: bar for row, bar in answer.context["channels"]}
    shares = {name: bar and (bar.value / bar.most, bar.is_low) for name, bar in bars.items()}
    assert shares == {
        "large": (Decimal(1), False),
        "small": (Decimal("0.25"), False),
        "empty": (Decimal(0), True),
        "limited": (Decimal("0.04"), True),
        "budget": (Decimal("0.25"), False),
        **dict.fromkeys(("yuan", "unlimited", "over", "silent")),
    }
    assert answer.text.count("<progress") == 5
    assert "Left of the limit of limited: 40.00 of 1,000.00 USD" in answer.text
    assert "Balance of small beside the largest one" in answer.text


def test_use_is_summed_with_cost_and_margin(root_client: Client) -> None:
    made, channel, now = make_token(make_user(balance=10_000)), make_channel(), timezone.now()
    calls = [
        settlement(made, channel, quota=1000, upstream_cost=1_600_001, created_at=now),
        settlement(made, channel, quota=0, upstream_cost=0, status="failed", created_at=now),
        settlement(made, channel, quota=500, created_at=now - timedelta(days=3)),
    ]

    settle(settlements=calls, at=now)

    context = root_client.get(URL).context
    today = context["today"]
    assert (today.calls, today.failures, today.quota, today.cost, today.margin) == (2, 1, 1000, 801, 199)
    assert context["top_models"][0]["quota"] == 1500
    assert context["chart"]["series"][0]["label"] == "test-model"
    assert context["chart"]["series"][0]["values"][3:] == [0.001, 0.0, 0.0, 0.002]


def test_an_administrator_does_not_see_roots_top_ups(admin_client: Client) -> None:
    make_root(balance=9)
    make_user(balance=4)

    assert [entry.amount for entry in admin_client.get(URL).context["credits"]] == [4]


def test_the_page_costs_the_same_number_of_queries_however_much_there_is(
    root_client: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    def open_page() -> None:
        with django_assert_num_queries(24):
            root_client.get(URL)

    def make_more() -> None:
        snapshot(make_channel(), "5")
        call = settlement(
            make_token(make_user(balance=10_000)), make_channel(), quota=5, created_at=timezone.now()
        )
        settle(settlements=[call], at=timezone.now())

    make_more()
    open_page()
    for _ in range(4):
        make_more()
    open_page()
