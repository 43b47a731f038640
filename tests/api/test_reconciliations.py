"""What providers took against what was metered, for programs."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.models import Channel, Reconciliation
from billing.services.reconciling import reconcile
from tests.factories import NOON, make_admin, make_channel, make_snapshot

pytestmark = pytest.mark.django_db


def compared(channel: Channel, *, left: str = "8", metered: int = 10**9, minutes: int = 10) -> Reconciliation:
    first, last = (
        make_snapshot(channel=channel, kind="balance", **fields)
        for fields in (
            {"remaining": Decimal(10), "created_at": NOON},
            {
                "remaining": Decimal(left),
                "metered": metered,
                "created_at": NOON + timedelta(minutes=minutes),
            },
        )
    )
    row = reconcile(channel=channel, first=first, last=last, at=NOON)
    assert row is not None
    return row


def ids_of(answer: Any) -> list[int]:
    assert answer.status == 200
    return [item["id"] for item in answer.body["items"]]


def test_an_interval_is_told_exactly(program) -> None:
    row = compared(make_channel())

    [item] = program(make_admin(), "channels").get("/reconciliations").body["items"]

    assert item == {
        "id": row.pk,
        "channel_id": row.channel_id,
        "kind": "balance",
        "currency": "USD",
        "first_snapshot_id": row.first_id,
        "last_snapshot_id": row.last_id,
        "began_at": "2026-03-02T12:00:00.000000Z",
        "ended_at": "2026-03-02T12:10:00.000000Z",
        "taken": "2.000000",
        "recharged": "0.000000",
        "metered": "1.000000",
        "drift": "1.000000",
        "drift_percent": "50.00",
        "tolerance_percent": "5.00",
        "status": "drift",
    }


def test_intervals_are_narrowed_and_paged(program) -> None:
    channel = make_channel()
    drift, fine = compared(channel), compared(channel, left="9", minutes=60)
    other = compared(make_channel())
    asks = program(make_admin(), "channels")

    first = asks.get("/reconciliations?limit=2")
    second = asks.get(f"/reconciliations?limit=2&cursor={first.body['next_cursor']}")

    assert ids_of(first) + ids_of(second) == [other.pk, fine.pk, drift.pk]
    assert ids_of(asks.get(f"/reconciliations?channel={channel.pk}")) == [fine.pk, drift.pk]
    assert ids_of(asks.get("/reconciliations?status=ok")) == [fine.pk]
    assert ids_of(asks.get("/reconciliations?since=2026-03-02T12:30:00Z")) == [fine.pk]
    assert ids_of(asks.get("/reconciliations?until=2026-03-02T12:30:00Z")) == [other.pk, drift.pk]
    assert asks.get("/reconciliations?status=odd").status == 422


def test_one_interval_says_what_a_drift_may_come_from_in_the_callers_language(program) -> None:
    row = compared(make_channel())
    asks = program(make_admin(), "channels")

    body = asks.get(f"/reconciliations/{row.pk}", Accept_Language="zh-hans").body

    assert (body["calls"], body["calls_in_flight"], body["models_without_list_price"]) == (0, 0, [])
    assert [cause["code"] for cause in body["causes"]] == ["calls_outside"]
    assert not body["causes"][0]["text"].isascii()
