"""The reconciliation's pages: what operators see of providers' money, and what they enter."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from billing.models import BalancePoll, BalanceSnapshot, Channel, Reconciliation
from billing.services import channels
from billing.services.calls import settle
from billing.services.reconciling import reconcile
from tests.factories import NOON, make_channel, make_snapshot, make_token, make_user, settlement

pytestmark = pytest.mark.django_db
LIST = reverse("ops:reconciliation")


def compared(channel: Channel, *, taken: str = "2", metered: str = "1", minutes: int = 10) -> Reconciliation:
    first = make_snapshot(channel=channel, kind="balance", remaining=Decimal(10), created_at=NOON)
    last = make_snapshot(
        channel=channel,
        kind="balance",
        remaining=10 - Decimal(taken),
        metered=int(Decimal(metered) * 10**9),
        raw="GET /balance 200\n{}",
        created_at=NOON + timedelta(minutes=minutes),
    )
    row = reconcile(channel=channel, first=first, last=last, at=NOON)
    assert row is not None
    return row


def call(channel: Channel, **fields: Any) -> None:
    token = make_token(make_user(balance=10_000))
    settle(settlements=[settlement(token, channel, quota=5, **fields)], at=NOON)


def page_of(channel: Channel) -> str:
    return reverse("ops:reconciliation-channel", args=[channel.pk])


def test_the_list_has_the_worst_first(admin_client: Client) -> None:
    fine, untold, drifting, empty = (
        make_channel(name=name) for name in ("fine", "untold", "drifting", "empty")
    )
    compared(fine, metered="2")
    compared(drifting)
    compared(empty, taken="10", metered="10")
    BalancePoll.objects.update(answered_at=NOON)

    rows = admin_client.get(LIST).context["rows"]

    assert [row["funds"].channel for row in rows] == [empty, drifting, fine, untold]
    assert [row["funds"].state for row in rows[:2]] == ["exhausted", "drift"]


def test_without_channels_the_page_says_what_it_is_for(admin_client: Client) -> None:
    assert "No channels yet" in admin_client.get(LIST).content.decode()


def test_a_channel_shows_its_intervals_and_charts(admin_client: Client) -> None:
    channel = make_channel()
    compared(channel)

    answer = admin_client.get(page_of(channel))
    text = answer.content.decode()

    assert "$2" in text
    assert answer.context["chart"]["taken"][2]["values"] == [1.0]
    assert answer.context["chart"]["balance"][0]["values"] == [8.0]


def test_a_channel_without_intervals_says_when_the_first_one_ends(admin_client: Client) -> None:
    text = admin_client.get(page_of(make_channel())).content.decode()

    assert "Nothing to compare yet" in text


def test_intervals_are_narrowed_by_status_and_day(admin_client: Client) -> None:
    channel = make_channel()
    drift = compared(channel)
    fine = compared(channel, metered="2", minutes=60 * 48)

    def found(**query: str) -> list[Reconciliation]:
        return admin_client.get(page_of(channel), query).context["page"].items

    assert found() == [fine, drift]
    assert found(status="drift") == [drift]
    assert found(since="2026-03-03") == [fine]
    assert found(until="2026-03-03") == [drift]
    assert found(since="nonsense", status="nonsense") == [fine, drift]
    assert found(until="9999-12-31") == [fine, drift]


def test_an_interval_names_its_calls_and_likely_causes(admin_client: Client) -> None:
    channel = make_channel()
    call(channel, usage_source="estimated", cached_tokens=5, created_at=NOON + timedelta(minutes=5))
    call(channel, created_at=NOON + timedelta(minutes=11), duration_ms=120_000)
    call(make_channel(), created_at=NOON + timedelta(minutes=5))
    call(channel, created_at=NOON - timedelta(hours=1))  # recovered late
    call(channel, created_at=NOON + timedelta(hours=1))
    row = compared(channel)

    answer = admin_client.get(reverse("ops:reconciliation-interval", args=[row.pk]))
    text = answer.content.decode()

    calls = answer.context["calls"]
    assert (calls.count, calls.estimated, calls.cached_tokens, calls.in_flight) == (1, 1, 5, 1)
    assert calls.unlisted == ["test-model"]
    for words in (
        "no usage for some calls",
        "in no price list",
        "were cached",
        "under way",
        "used by others",
    ):
        assert words in text
    assert "GET /balance 200" in text


def test_a_steady_drift_is_put_down_to_the_price(admin_client: Client) -> None:
    channel = make_channel()
    rows = [compared(channel, metered="1.6") for _ in range(5)]

    def said(row: Reconciliation) -> list[str]:
        context = admin_client.get(reverse("ops:reconciliation-interval", args=[row.pk])).context
        return [str(cause) for cause in context["causes"]]

    assert any("cost multiplier" in cause for cause in said(rows[4]))
    assert not any("cost multiplier" in cause for cause in said(rows[3]))


def test_intervals_are_downloaded_as_they_are_filtered(admin_client: Client) -> None:
    channel = make_channel()
    compared(channel, metered="2")
    drift = compared(channel)
    url = reverse("ops:reconciliation-export", args=[channel.pk])

    answer = admin_client.get(url, {"status": "drift"})
    header, line = b"".join(answer.streaming_content).decode("utf-8-sig").splitlines()

    assert header.startswith("id,channel_id,kind,currency,began_at")
    assert line.startswith(f"{drift.pk},{channel.pk},balance,USD,")
    assert line.endswith(",2.000000,0.000000,1.000000,1.000000,50.00,5.00,drift")


def test_a_balance_is_entered_by_hand(admin_client: Client) -> None:
    channel = make_channel(balance_source="manual")
    url = reverse("ops:reconciliation-balance", args=[channel.pk])

    wrong = admin_client.post(url, {"remaining": "much", "currency": "dollars"})
    right = admin_client.post(url, {"remaining": "25.5", "currency": "USD"}, follow=True)

    assert (wrong.status_code, set(wrong.context["form"].errors)) == (422, {"remaining", "currency"})
    assert "was entered" in right.content.decode()
    assert BalanceSnapshot.objects.get().remaining == Decimal("25.5")


def test_where_the_provider_tells_nothing_is_entered_by_hand(admin_client: Client) -> None:
    url = reverse("ops:reconciliation-balance", args=[make_channel().pk])

    answer = admin_client.post(url, {"remaining": "25.5", "currency": "USD"})

    assert answer.status_code == 422
    assert "is read from its provider" in answer.content.decode()
    assert not BalanceSnapshot.objects.exists()


def test_why_a_channel_is_disabled_and_why_nothing_is_read_is_said(admin_client: Client) -> None:
    channel = make_channel()
    channels.change_status(
        actor=None, channel_id=channel.pk, status="auto_disabled", reason="balance_exhausted"
    )
    BalancePoll.objects.update(error="HTTP 401: wrong key", is_refused=True)

    text = admin_client.get(page_of(channel)).content.decode()

    assert "The provider&#x27;s account is empty" in text
    assert "HTTP 401: wrong key" in text


def test_the_list_takes_as_many_queries_for_many_channels(
    admin_client: Client, django_assert_num_queries
) -> None:
    compared(make_channel())
    with django_assert_num_queries(8):
        admin_client.get(LIST)
    for _ in range(3):
        compared(make_channel())
    with django_assert_num_queries(8):
        admin_client.get(LIST)
