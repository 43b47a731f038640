"""Asking for jobs, of a real broker."""

from collections.abc import Iterator
from typing import Any

import pytest
from kombu import Connection
from kombu.simple import SimpleQueue

from oneapi_admin.lib.jobs import enqueue


@pytest.fixture
def queue(settings: Any) -> Iterator[SimpleQueue]:
    """What workers take jobs from."""
    options = settings.CELERY_BROKER_TRANSPORT_OPTIONS
    with Connection(settings.CELERY_BROKER_URL, transport_options=options) as connection:
        waiting = connection.SimpleQueue("celery")
        waiting.clear()
        yield waiting
        waiting.clear()
        waiting.close()


def test_a_job_is_asked_for_by_its_name_with_its_arguments(queue) -> None:
    enqueue("redemption.make_codes", batch_id=7)

    message = queue.get(timeout=5)
    args, kwargs, _embedded = message.payload
    assert message.headers["task"] == "redemption.make_codes"
    assert (args, kwargs) == ([], {"batch_id": 7})
    assert message.headers["expires"]


def test_a_job_without_arguments_is_asked_for_as_well(queue) -> None:
    enqueue("billing.deliver_webhooks")

    message = queue.get(timeout=5)
    assert (message.headers["task"], message.payload[:2]) == ("billing.deliver_webhooks", [[], {}])


def test_a_broker_that_is_away_is_no_error(settings, caplog) -> None:
    settings.CELERY_BROKER_URL = "redis+socket:///nowhere/valkey.sock?virtual_host=0"

    enqueue("redemption.make_codes", batch_id=7)

    assert "jobs.not_enqueued" in caplog.text
