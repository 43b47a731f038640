"""From an effect to the receiver through a real broker and a real Celery worker."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from billing.models import WebhookDelivery
from billing.services import accounts
from tests.factories import make_admin, make_user, make_webhook
from tests.support.processes import ROOT, environment
from tests.support.receiver import Receiver, receiving
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def worker_log(transactional_db: None) -> Iterator[Path]:
    """A worker that takes jobs, without beat: whatever it does it was asked for; its log."""
    path = Path(settings.DATA_DIR) / "worker.log"
    command = [sys.executable, "-m", "celery", "--app", "oneapi_admin", "worker", "--concurrency", "1"]
    with path.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--without-gossip", "--without-mingle", "--loglevel", "INFO"],
            cwd=ROOT,
            env=environment(C_FORCE_ROOT="true"),
            stdout=log,
            stderr=log,
        )
        try:
            wait_until(lambda: "ready." in path.read_text(), seconds=60)
            yield path
        finally:
            process.terminate()
            process.wait(30)


def test_a_worker_delivers_at_once_what_a_top_up_told(worker_log: Path, receiver: Receiver) -> None:
    made = make_webhook(receiver.url)

    accounts.top_up(actor=make_admin(), user=make_user(), quota=500, memo="m", at=timezone.now())

    wait_until(lambda: WebhookDelivery.objects.filter(status="delivered").exists())
    [request] = receiver.received
    assert request.verified(made.secret)["data"]["amount"] == 500
    wait_until(lambda: "webhook_sent" in worker_log.read_text())
    assert made.secret.removeprefix("whsec_") not in worker_log.read_text()
