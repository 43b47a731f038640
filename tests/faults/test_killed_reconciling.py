"""A worker that dies while it reads balances repeats none and misses none, and so it is when Redis goes away."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone

from billing.models import BalancePoll, BalanceSnapshot, Channel
from tests.factories import make_channel
from tests.support.balance_site import Site, balance_site
from tests.support.valkey import private_server, url_of
from tests.support.waiting import wait_until
from tests.support.workers import worker

pytestmark = pytest.mark.django_db(transaction=True)
CHANNELS = 80


@pytest.fixture
def site() -> Iterator[Site]:
    with balance_site() as running:
        running.takes_s = 0.1
        for number in range(CHANNELS):
            make_channel(base_url=running.url(1 + number % 40), key=f"sk-{number:08}")
        yield running


def read() -> Counter[int]:
    """How many balances there are, by channel."""
    return Counter(BalanceSnapshot.objects.values_list("channel", flat=True))


def nobody_else_writes() -> bool:
    """PostgreSQL may still be at what a dead client asked last."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND state <> 'idle'"
        )
        return cursor.fetchone() == (0,)


def test_a_worker_killed_in_mid_round_repeats_nothing_and_misses_nothing(site: Site, tmp_path: Path) -> None:
    with worker(tmp_path / "first.log") as process:
        wait_until(lambda: len(read()) >= CHANNELS // 4, seconds=60)
        os.killpg(process.pid, signal.SIGKILL)
    wait_until(nobody_else_writes)
    done, asked = read(), Counter(site.asked)
    assert CHANNELS // 4 <= len(done) < CHANNELS

    # The claims of the dead are over three minutes later.
    BalancePoll.objects.filter(claimed_until__isnull=False).update(claimed_until=timezone.now())
    with worker(tmp_path / "second.log"):
        wait_until(lambda: len(read()) == CHANNELS, seconds=60)

    assert set(read().values()) == {1}
    again = Counter(site.asked) - asked
    keys = {channel.pk: f"Bearer {channel.get_key()}" for channel in Channel.objects.all()}
    assert not [pk for pk in done if again[keys[pk]]], "only those are asked that were not read"
    assert not BalancePoll.objects.filter(claimed_until__isnull=False).exists()


def test_a_round_goes_on_while_redis_is_away(site: Site, tmp_path: Path) -> None:
    with private_server() as redis, worker(tmp_path / "worker.log", REDIS_URL=url_of(redis)):
        wait_until(lambda: len(read()) >= CHANNELS // 4, seconds=60)
        redis.stop()
        wait_until(lambda: len(read()) == CHANNELS, seconds=60)
        redis.start()

    assert set(read().values()) == {1}
    assert set(site.asked.values()) == {1}
