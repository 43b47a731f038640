"""The last unit of quota is spent exactly once, however many clients and processes compete for it."""

import http.client
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from billing.models import Hold, UsageRecord
from billing.services.audit import audit_ledger
from tests.factories import account_of, make_channel, make_request_price, make_token, make_user
from tests.sandbox.server import SandboxServer
from tests.support.processes import web_processes

pytestmark = pytest.mark.django_db(transaction=True)
CLIENTS, TRIES, PAID, PRICE = 64, 2_000, 1_000, 10
BODY = json.dumps({"model": "sandbox-echo", "messages": [{"role": "user", "content": "hi"}]})


def call_repeatedly(port: int, key: str, times: int) -> Counter[tuple[int, str]]:
    """One client's calls on one connection: how often each status and code came back."""
    seen: Counter[tuple[int, str]] = Counter()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        for _ in range(times):
            connection.request("POST", "/v1/chat/completions", BODY, {"Authorization": f"Bearer {key}"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            seen[response.status, answer.get("error", {}).get("code", "")] += 1
    return seen


def test_of_2000_tries_on_quota_for_1000_calls_exactly_1000_succeed(sandbox: SandboxServer) -> None:
    make_request_price("sandbox-echo", usd="0.00002")  # 10 quota units, so that cost equals estimate
    make_channel(base_url=sandbox.origin, key=sandbox.api_key, models=["sandbox-echo"])
    user = make_user(balance=PAID * PRICE)
    key = make_token(user).key
    shares = [TRIES // CLIENTS + (index < TRIES % CLIENTS) for index in range(CLIENTS)]

    with web_processes(2) as servers, ThreadPoolExecutor(CLIENTS) as pool:
        ports = [servers[index % 2].port for index in range(CLIENTS)]
        seen = sum(pool.map(call_repeatedly, ports, [key] * CLIENTS, shares), Counter())

    assert seen == {(200, ""): PAID, (403, "insufficient_user_quota"): TRIES - PAID}
    account = account_of(user)
    assert (account.balance, account.held, account.used_quota) == (0, 0, PAID * PRICE)
    assert UsageRecord.objects.filter(quota=PRICE).count() == PAID
    assert Hold.objects.count() == 0
    assert [check.code for check in audit_ledger() if check.broken] == []


def test_a_token_limit_holds_as_exactly_as_the_balance(sandbox: SandboxServer) -> None:
    make_request_price("sandbox-echo", usd="0.00002")
    make_channel(base_url=sandbox.origin, key=sandbox.api_key, models=["sandbox-echo"])
    user = make_user(balance=1_000_000)
    made = make_token(user, quota_limit=100 * PRICE)

    with web_processes(2) as servers, ThreadPoolExecutor(16) as pool:
        ports = [servers[index % 2].port for index in range(16)]
        seen = sum(pool.map(call_repeatedly, ports, [made.key] * 16, [20] * 16), Counter())

    assert seen == {(200, ""): 100, (403, "pre_consume_token_quota_failed"): 220}
    assert account_of(user).balance == 1_000_000 - 100 * PRICE
    assert [check.code for check in audit_ledger() if check.broken] == []
