"""The provider's money, from the first call to an empty account and back, on a running installation."""

import json
import time
from decimal import Decimal
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.serve.installation import PATIENCE, Serving, wait_until

KEYS = """
from accounts.models import User
from accounts.services.access_tokens import create_access_token
from billing.models import Channel
from billing.services import accounts, tokens
from django.utils import timezone
root = User.objects.get(role="root")
user = accounts.create_user(actor=root, at=timezone.now(), quota=50_000_000, username="caller",
    password="a long pass phrase", email="caller@example.com")
_token, key = tokens.create_token(actor=user, user=user, name="calls")
channel = Channel.objects.get(is_sandbox=True)
print(key, create_access_token(user=root, actor=root, name="watch", scopes=["admin"])[1],
      channel.pk, channel.base_url, channel.get_key())
"""
TIME_PASSES = """
from datetime import timedelta
from django.db.models import F
from django.utils import timezone
from billing.models import BalancePoll
BalancePoll.objects.update(due_at=timezone.now(), empty_since=F("empty_since") - timedelta(minutes=1))
"""
NO_ROUND_TODAY = """
from datetime import timedelta
from django.utils import timezone
from billing.models import BalancePoll
BalancePoll.objects.update(due_at=timezone.now() + timedelta(days=1))
"""
TEXT = "word " * 500
JSON = {"Content-Type": "application/json"}


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


class Watch:
    """Somebody who calls through us, past us, and looks at what the console knows."""

    def __init__(self, serving: Serving) -> None:
        self._serving = serving
        key, access, channel, self.sandbox, self._sandbox_key = serving.installation.shell(KEYS).split()
        self._call_with, self._look_with = bearer(key), bearer(access)
        self.path = f"/api/v1/channels/{channel}"

    def ask(self, method: str, path: str, body: object = None) -> Any:
        answer = self._serving.send(method, path, headers=self._look_with | JSON, body=json.dumps(body))
        assert answer.status in (200, 201), answer
        return json.loads(answer.text)

    def call(self) -> Any:
        """A call through us."""
        body = {"model": "sandbox-echo", "max_tokens": 600, "messages": [{"role": "user", "content": TEXT}]}
        return self._serving.send(
            "POST", "/v1/chat/completions", headers=self._call_with | JSON, body=json.dumps(body)
        )

    def call_past_us(self) -> None:
        body = {"model": "sandbox-echo", "messages": [{"role": "user", "content": TEXT}]}
        self._at_the_provider("POST", "/v1/chat/completions", body)

    def set_account(self, **amounts: str) -> None:
        self._at_the_provider("POST", "/sandbox/account", amounts)

    def account(self) -> dict[str, str]:
        found: dict[str, str] = self._at_the_provider("GET", "/sandbox/account")
        return found

    def read(self) -> dict[str, Any]:
        """What the provider says now; should the worker be asking, after it."""
        path = f"{self.path}/refresh-balance"
        answer = wait_until(lambda: self._unless_being_read(path), "the balance can be read")
        found: dict[str, Any] = json.loads(answer.text)
        return found

    def _unless_being_read(self, path: str) -> Any:
        answer = self._serving.send("POST", path, headers=self._look_with)
        assert answer.status in (200, 409), answer
        return answer if answer.status == 200 else None

    def channel(self) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", self.path)
        return found

    def wait_for(self, **expected: str) -> None:
        """Look at the channel, as often as a program may, until it is as expected."""
        deadline = time.monotonic() + PATIENCE
        while not expected.items() <= self.channel().items():
            assert time.monotonic() < deadline, f"it never was {expected}"
            time.sleep(0.5)  # between two looks

    def intervals(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", "/api/v1/reconciliations?limit=100")["items"]
        return found

    def alerts(self, *, rule_id: int, state: str = "open") -> list[dict[str, Any]]:
        path = f"/api/v1/alerts?state={state}&rule_id={rule_id}"
        found: list[dict[str, Any]] = self.ask("GET", path)["items"]
        return found

    def wait_for_alerts(self, count: int, *, rule_id: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while len(self.alerts(rule_id=rule_id)) != count:
            assert time.monotonic() < deadline, f"there never were {count} open alerts"
            time.sleep(0.5)  # between two looks

    def is_read_by_nobody_else(self) -> None:
        """The worker's next round is tomorrow."""
        self._serving.installation.shell(NO_ROUND_TODAY)

    def time_passes(self) -> None:
        """Let the next round be now, and the last reading a minute ago."""
        self._serving.installation.shell(TIME_PASSES)

    def _at_the_provider(self, method: str, path: str, body: object = None) -> Any:
        connection = HTTPConnection(urlsplit(self.sandbox).netloc, timeout=30)
        try:
            headers = {"Authorization": f"Bearer {self._sandbox_key}"} | JSON
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            raw = answer.read()
            assert answer.status == 200, raw
            return json.loads(raw)
        finally:
            connection.close()


@pytest.fixture(scope="module")
def watch(serving: Serving) -> Watch:
    return Watch(serving)


def left(watch: Watch) -> Decimal:
    return Decimal(watch.account()["balance_usd"])


def test_what_we_metered_is_what_the_provider_took_and_the_rest_is_drift(watch: Watch) -> None:
    watch.set_account(balance_usd="50")
    watch.read()
    watch.is_read_by_nobody_else()
    before = watch.read()
    assert watch.call().status == 200
    assert watch.call().status == 200
    metered = watch.read()
    own = watch.intervals()[0]
    watch.call_past_us()
    outside = Decimal(metered["remaining"]) - left(watch)
    watch.read()
    strange = watch.intervals()[0]

    taken = Decimal(before["remaining"]) - Decimal(metered["remaining"])
    assert taken > 0
    assert (Decimal(own["taken"]), Decimal(own["drift"]), own["status"]) == (taken, 0, "ok")
    assert outside > 0
    assert (Decimal(strange["drift"]), Decimal(strange["metered"]), strange["status"]) == (
        outside,
        0,
        "drift",
    )
    assert watch.channel()["balance_state"] == "drift"


def test_an_empty_account_disables_the_channel_until_it_is_recharged(watch: Watch) -> None:
    rules = watch.ask("GET", "/api/v1/alert-rules")["items"]
    [rule_id] = [rule["id"] for rule in rules if rule["kind"] == "channel_disabled"]
    watch.set_account(balance_usd="0")
    watch.time_passes()
    watch.wait_for(balance_state="exhausted")
    watch.time_passes()
    watch.wait_for(status="auto_disabled", disabled_reason="balance_exhausted")
    refused = watch.call()
    watch.wait_for_alerts(1, rule_id=rule_id)
    watch.set_account(balance_usd="50")
    watch.time_passes()
    watch.wait_for(status="enabled", disabled_reason="")
    watch.wait_for_alerts(0, rule_id=rule_id)

    assert refused.status == 503
    assert "insufficient_user_quota" not in refused.text
    assert watch.call().status == 200
    assert watch.intervals()[0]["status"] == "recharged"
    [alert] = watch.alerts(rule_id=rule_id, state="all")
    assert alert["facts"] == {"reason": "balance_exhausted"}
