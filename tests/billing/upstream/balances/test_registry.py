"""Which adapter fits an address, what adapters say of themselves, and one whole way to a real relay."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from django.utils.translation import override

from billing.upstream.balances import month
from billing.upstream.balances.reading import Account, Reading, ReadingKind
from billing.upstream.balances.registry import ADAPTERS, guess, read_balance
from tests.billing.upstream.balances.provider import NOW
from tests.sandbox.server import start_sandbox

each_adapter = pytest.mark.parametrize("code", list(ADAPTERS))


@pytest.mark.parametrize(
    ("base_url", "code"),
    [
        ("https://api.openai.com", "openai_costs"),
        ("https://API.OpenAI.com:443/v1", "openai_costs"),
        ("https://api.anthropic.com", "anthropic_costs"),
        ("https://openrouter.ai/api", "openrouter"),
        ("https://api.deepseek.com", "deepseek"),
        ("https://api.moonshot.cn", "moonshot_cn"),
        ("https://api.moonshot.ai", "moonshot_ai"),
        ("https://api.siliconflow.cn", "siliconflow_cn"),
        ("https://api.siliconflow.com", "siliconflow_com"),
        ("https://ark.cn-beijing.volces.com/api/v3", "volcengine"),
        ("https://dashscope.aliyuncs.com/compatible-mode", "alibaba_cn"),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode", "alibaba_intl"),
        ("https://qianfan.baidubce.com/v2", "baidu"),
        ("https://api.x.ai", "xai"),
        ("https://generativelanguage.googleapis.com/v1beta/openai", "manual"),
        ("https://mine.openai.azure.com/openai", "manual"),
        ("https://openai.azure.com", "one_api_token"),
        ("https://api.groq.com/openai", "manual"),
        ("https://api.deepseek.com.evil.example", "one_api_token"),
        ("https://evil-api.deepseek.com", "one_api_token"),
        ("http://one-api:3000", "one_api_token"),
        ("http://[::1]:3000", "one_api_token"),
        ("", "one_api_token"),
    ],
)
def test_an_address_tells_which_adapter_fits(base_url: str, code: str) -> None:
    assert guess(base_url) == code


def test_no_two_adapters_want_the_same_host() -> None:
    hosts = [host for adapter in ADAPTERS.values() for host in adapter.hosts]

    assert len(hosts) == len(set(hosts))
    assert all(host == host.lower() for host in hosts)


def test_the_codes_stay_as_they_are() -> None:
    assert sorted(ADAPTERS) == [
        "ai302",
        "alibaba_cn",
        "alibaba_intl",
        "anthropic_costs",
        "baidu",
        "credit_grants",
        "deepinfra",
        "deepseek",
        "fireworks",
        "litellm",
        "manual",
        "moonshot_ai",
        "moonshot_cn",
        "new_api_token",
        "novita",
        "one_api_account",
        "one_api_token",
        "openai_costs",
        "openai_dashboard",
        "openrouter",
        "ppio",
        "sandbox",
        "siliconflow_cn",
        "siliconflow_com",
        "stepfun",
        "venice",
        "volcengine",
        "xai",
        "zenmux",
    ]


@each_adapter
def test_an_adapter_says_what_it_is_and_where_its_format_is_documented(code: str) -> None:
    adapter = ADAPTERS[code]
    names = [field.name for field in adapter.fields]

    with override("en"):
        assert str(adapter.title)
        assert all(str(field.label) for field in adapter.fields)
    assert re.fullmatch(r"[a-z0-9_]{1,20}", code)
    assert len(names) == len(set(names))
    assert all(re.fullmatch("[a-z_]+", name) for name in names)
    assert adapter.needs_admin is any(field.is_required for field in adapter.fields)
    if code not in ("manual", "sandbox"):
        assert adapter.source.startswith("https://")
        module = Path(__import__(type(adapter).__module__, fromlist=["x"]).__file__)
        assert "https://" in module.read_text(encoding="utf-8").split('"""')[1]


def test_an_entered_balance_is_explained_and_nobody_is_asked() -> None:
    adapter = ADAPTERS["manual"]

    assert adapter.read(Account(base_url="https://api.groq.com", key="sk-groq"), ask=None) == []
    assert "enter what its console says" in str(adapter.note)


@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        (datetime(2026, 12, 31, 23, 59, tzinfo=UTC), (2026, 12, 1), (2027, 1, 1)),
        (datetime(2026, 2, 1, tzinfo=UTC), (2026, 2, 1), (2026, 3, 1)),
        (datetime(2028, 1, 31, 12, tzinfo=UTC), (2028, 1, 1), (2028, 2, 1)),
        (datetime.fromisoformat("2026-12-01T07:00:00+08:00"), (2026, 11, 1), (2026, 12, 1)),
    ],
)
def test_a_month_is_a_calendar_month_in_utc(now: datetime, start: tuple, end: tuple) -> None:
    assert month.month_start(now) == datetime(*start, tzinfo=UTC)
    assert month.next_month(now) == datetime(*end, tzinfo=UTC)


@pytest.mark.parametrize(
    ("code", "kind"), [("sandbox", ReadingKind.BALANCE), ("one_api_token", ReadingKind.KEY_BUDGET)]
)
def test_a_real_sandbox_tells_what_is_left(code: str, kind: ReadingKind, tmp_path: Path) -> None:
    key = "sk-sandbox-0123456789"
    with start_sandbox(tmp_path, api_key=key, balance_usd="12.345678") as sandbox:
        sandbox.chat(text="one two three")
        spent = Decimal(sandbox.account()["used_usd"])

        readings = read_balance(code, Account(base_url=sandbox.origin, key=key), now=NOW).readings

    limit = Decimal("12.345678")
    assert spent > 0
    assert readings == [
        Reading(kind=kind, currency="USD", remaining=limit - spent, limit=limit, used=spent, period="all")
    ]
