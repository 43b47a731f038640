"""Relays and proxies: One API and its family, LiteLLM, and what copied OpenAI's old dashboard."""

from datetime import UTC, datetime
from decimal import Decimal

from billing.upstream.balances.reading import Reading
from tests.billing.upstream.balances.contracts.form import (
    ADMIN_KEY,
    BALANCE,
    KEY,
    KEY_BUDGET,
    NEXT_MONTH,
    SPEND,
    Contract,
    Step,
    bearer,
)

RELAY = "https://relay.example.com/sub"
STATUS_USD = '{"success":true,"message":"","data":{"version":"v0.6.10","quota_per_unit":500000,"display_in_currency":true}}'
STATUS_POINTS = '{"success":true,"data":{"quota_per_unit":500000,"display_in_currency":false}}'
STATUS_CNY = (
    '{"success":true,"data":{"quota_per_unit":500000,"quota_display_type":"CNY","usd_exchange_rate":7.3}}'
)
SUBSCRIPTION = (
    '{"object":"billing_subscription","has_payment_method":true,"soft_limit_usd":%(limit)s,'
    '"hard_limit_usd":%(limit)s,"system_hard_limit_usd":%(limit)s,"access_until":%(until)s}'
)
USAGE = '{"object":"list","total_usage":%s}'
SELF = (
    '{"success":true,"message":"","data":{"id":1,"username":"u","quota":24997909,"used_quota":10027091,'
    '"request_count":339,"group":"default"}}'
)
TOKEN_USAGE = (
    '{"code":true,"message":"ok","data":{"object":"token_usage","name":"Default Token","total_granted":1000000,'
    '"total_used":12345,"total_available":987655,"unlimited_quota":%s,"model_limits":{"gpt-4o-mini":true},'
    '"model_limits_enabled":false,"expires_at":%s}}'
)


def status(answer: str) -> Step:
    return Step(url=f"{RELAY}/api/status", headers={}, answer=answer, is_optional=True)


def subscription(limit: str, *, until: int = 0, base: str = RELAY) -> Step:
    url = f"{base}/v1/dashboard/billing/subscription"
    return Step(url=url, headers=bearer(KEY), answer=SUBSCRIPTION % {"limit": limit, "until": until})


def usage(cents: str, *, base: str = RELAY, dates: str = "") -> Step:
    url = f"{base}/v1/dashboard/billing/usage{dates}"
    return Step(url=url, headers=bearer(KEY), answer=USAGE % cents)


CONTRACTS = [
    Contract(
        code="one_api_token",
        base_url=RELAY,
        steps=[status(STATUS_USD), subscription("100.0"), usage("2500.0")],
        readings=[
            Reading(
                kind=KEY_BUDGET,
                currency="USD",
                remaining=Decimal(75),
                limit=Decimal(100),
                used=Decimal(25),
                period="all",
            )
        ],
    ),
    Contract(
        code="one_api_token",
        case="unlimited",
        base_url=RELAY,
        steps=[status(STATUS_USD), subscription("100000000", until=1798761600), usage("2500")],
        readings=[
            Reading(
                kind=KEY_BUDGET,
                currency="USD",
                used=Decimal(25),
                period="all",
                is_unlimited=True,
                expires_at=datetime(2027, 1, 1, tzinfo=UTC),
            )
        ],
    ),
    Contract(
        code="one_api_token",
        case="points",
        base_url=RELAY,
        steps=[status(STATUS_POINTS), subscription("1000000"), usage("25000000")],
        readings=[
            Reading(
                kind=KEY_BUDGET,
                currency="USD",
                remaining=Decimal("1.5"),
                limit=Decimal(2),
                used=Decimal("0.5"),
                period="all",
            )
        ],
    ),
    Contract(
        code="one_api_token",
        case="points, two hundred dollars or unlimited",
        base_url=RELAY,
        steps=[status(STATUS_POINTS), subscription("100000000"), usage("25000000")],
        readings=[Reading(kind=KEY_BUDGET, currency="USD", used=Decimal("0.5"), period="all")],
    ),
    Contract(
        code="one_api_token",
        case="yuan",
        base_url=RELAY,
        steps=[status(STATUS_CNY), subscription("73"), usage("730")],
        readings=[
            Reading(
                kind=KEY_BUDGET,
                currency="CNY",
                remaining=Decimal("65.7"),
                limit=Decimal(73),
                used=Decimal("7.3"),
                period="all",
            )
        ],
    ),
    Contract(
        code="one_api_account",
        base_url=RELAY,
        admin={"access_token": ADMIN_KEY},
        steps=[
            status(STATUS_USD),
            Step(url=f"{RELAY}/api/user/self", headers={"authorization": ADMIN_KEY}, answer=SELF),
        ],
        readings=[
            Reading(
                kind=BALANCE,
                currency="USD",
                remaining=Decimal("49.995818"),
                used=Decimal("20.054182"),
                period="all",
            )
        ],
    ),
    Contract(
        code="one_api_account",
        case="new api, yuan",
        base_url=RELAY,
        admin={"access_token": ADMIN_KEY, "user_id": "17"},
        steps=[
            status(STATUS_CNY),
            Step(
                url=f"{RELAY}/api/user/self",
                headers={"authorization": ADMIN_KEY, "new-api-user": "17"},
                answer=SELF,
            ),
        ],
        readings=[
            Reading(
                kind=BALANCE,
                currency="CNY",
                remaining=Decimal("364.9694714"),
                used=Decimal("146.3955286"),
                period="all",
            )
        ],
    ),
    Contract(
        code="new_api_token",
        base_url=RELAY,
        steps=[
            status(STATUS_USD),
            Step(url=f"{RELAY}/api/usage/token/", headers=bearer(KEY), answer=TOKEN_USAGE % ("false", "0")),
        ],
        readings=[
            Reading(
                kind=KEY_BUDGET,
                currency="USD",
                remaining=Decimal("1.97531"),
                limit=Decimal(2),
                used=Decimal("0.02469"),
                period="all",
            )
        ],
    ),
    Contract(
        code="new_api_token",
        case="unlimited",
        base_url=RELAY,
        steps=[
            status(STATUS_USD),
            Step(
                url=f"{RELAY}/api/usage/token/",
                headers=bearer(KEY),
                answer=TOKEN_USAGE % ("true", "1798761600"),
            ),
        ],
        readings=[
            Reading(
                kind=KEY_BUDGET,
                currency="USD",
                used=Decimal("0.02469"),
                period="all",
                is_unlimited=True,
                expires_at=datetime(2027, 1, 1, tzinfo=UTC),
            )
        ],
    ),
    Contract(
        code="litellm",
        base_url="https://litellm.example.com",
        steps=[
            Step(
                url="https://litellm.example.com/key/info",
                headers=bearer(KEY),
                answer='{"key":"sk-…","info":{"spend":0.0001065,"max_budget":10.0,"expires":null,"models":["gpt-4o"],'
                '"user_id":"u1","team_id":null}}',
            )
        ],
        readings=[
            Reading(
                kind=KEY_BUDGET,
                currency="USD",
                remaining=Decimal("9.9998935"),
                limit=Decimal(10),
                used=Decimal("0.0001065"),
                period="all",
            )
        ],
    ),
    Contract(
        code="litellm",
        case="no budget",
        base_url="https://litellm.example.com",
        steps=[
            Step(
                url="https://litellm.example.com/key/info",
                headers=bearer(KEY),
                answer='{"key":"sk-…","info":{"spend":1e-7,"max_budget":null,"expires":"2027-01-01T00:00:00",'
                '"budget_duration":"30d","budget_reset_at":"2026-12-01T08:00:00+08:00"}}',
            )
        ],
        readings=[
            Reading(
                kind=KEY_BUDGET,
                currency="USD",
                used=Decimal("0.0000001"),
                period="month",
                is_unlimited=True,
                resets_at=NEXT_MONTH,
                expires_at=datetime(2027, 1, 1, tzinfo=UTC),
            )
        ],
    ),
    Contract(
        code="openai_dashboard",
        base_url="https://copy.example.com",
        steps=[
            subscription("120.0", until=1798761600, base="https://copy.example.com"),
            usage(
                "1234.5",
                base="https://copy.example.com",
                dates="?start_date=2026-11-01&end_date=2026-11-27",
            ),
        ],
        readings=[
            Reading(
                kind=SPEND,
                currency="USD",
                remaining=Decimal("107.655"),
                limit=Decimal(120),
                used=Decimal("12.345"),
                period="month",
                resets_at=NEXT_MONTH,
                expires_at=datetime(2027, 1, 1, tzinfo=UTC),
            )
        ],
    ),
    Contract(
        code="credit_grants",
        base_url="https://grants.example.com",
        steps=[
            Step(
                url="https://grants.example.com/dashboard/billing/credit_grants",
                headers=bearer(KEY),
                answer='{"object":"credit_summary","total_granted":5.0,"total_used":0.03,"total_available":4.97,'
                '"grants":{"object":"list","data":['
                '{"object":"credit_grant","grant_amount":5.0,"effective_at":1680048000.0,"expires_at":1688169600.0},'
                '{"object":"credit_grant","grant_amount":5.0,"effective_at":1680048000.0,"expires_at":1798761600.0},'
                '{"object":"credit_grant","grant_amount":5.0,"effective_at":1680048000.0,"expires_at":1898761600.0}]}}',
            )
        ],
        readings=[
            Reading(
                kind=BALANCE,
                currency="USD",
                remaining=Decimal("4.97"),
                limit=Decimal(5),
                used=Decimal("0.03"),
                period="all",
                expires_at=datetime(2027, 1, 1, tzinfo=UTC),
            )
        ],
    ),
    Contract(
        code="credit_grants",
        case="api2gpt",
        base_url="https://api.api2gpt.com",
        steps=[
            Step(
                url="https://api.api2gpt.com/dashboard/billing/credit_grants",
                headers=bearer(KEY),
                answer='{"object":"credit_summary","total_granted":5,"total_used":1,"total_remaining":4}',
            )
        ],
        readings=[
            Reading(
                kind=BALANCE,
                currency="USD",
                remaining=Decimal(4),
                limit=Decimal(5),
                used=Decimal(1),
                period="all",
            )
        ],
    ),
    Contract(
        code="sandbox",
        base_url="https://sandbox.example.com",
        steps=[
            subscription("100.123456", base="https://sandbox.example.com"),
            usage("12.3456", base="https://sandbox.example.com"),
        ],
        readings=[
            Reading(
                kind=BALANCE,
                currency="USD",
                remaining=Decimal("100.00"),
                limit=Decimal("100.123456"),
                used=Decimal("0.123456"),
                period="all",
            )
        ],
    ),
]
