"""Providers that tell what is left on an account."""

from datetime import UTC, datetime
from decimal import Decimal

from billing.upstream.balances.reading import Reading
from tests.billing.upstream.balances.contracts.form import (
    ADMIN_KEY,
    BALANCE,
    KEY,
    KEY_BUDGET,
    Contract,
    Step,
    bearer,
)

OPENROUTER_KEY = (
    '{"data":{"label":"sk-or-v1-abc...123","limit":%s,"limit_remaining":%s,"limit_reset":%s,'
    '"include_byok_in_limit":false,"usage":25.5,"usage_daily":1.5,"usage_weekly":5.5,"usage_monthly":15.5,'
    '"is_free_tier":false,"is_management_key":false,"expires_at":%s}}'
)


def openrouter_key(*values: str) -> Step:
    return Step(url="https://openrouter.ai/api/v1/key", headers=bearer(KEY), answer=OPENROUTER_KEY % values)


CONTRACTS = [
    Contract(
        code="openrouter",
        base_url="https://openrouter.ai/api",
        steps=[openrouter_key("100", "74.5", '"monthly"', "null")],
        readings=[
            Reading(
                kind=KEY_BUDGET,
                currency="USD",
                remaining=Decimal("74.5"),
                limit=Decimal(100),
                used=Decimal("15.5"),
                period="month",
            )
        ],
    ),
    Contract(
        code="openrouter",
        case="no cap on the key, and the credits",
        base_url="https://openrouter.ai/api",
        admin={"management_key": ADMIN_KEY},
        steps=[
            openrouter_key("null", "null", "null", '"2027-12-31T23:59:59Z"'),
            Step(
                url="https://openrouter.ai/api/v1/credits",
                headers=bearer(ADMIN_KEY),
                answer='{"data":{"total_credits":100.5,"total_usage":25.75}}',
            ),
        ],
        readings=[
            Reading(
                kind=KEY_BUDGET,
                currency="USD",
                used=Decimal("25.5"),
                period="all",
                is_unlimited=True,
                expires_at=datetime(2027, 12, 31, 23, 59, 59, tzinfo=UTC),
            ),
            Reading(
                kind=BALANCE,
                currency="USD",
                remaining=Decimal("74.75"),
                limit=Decimal("100.5"),
                used=Decimal("25.75"),
                period="all",
            ),
        ],
    ),
    Contract(
        code="deepseek",
        base_url="https://api.deepseek.com/beta",
        steps=[
            Step(
                url="https://api.deepseek.com/user/balance",
                headers=bearer(KEY),
                answer='{"is_available":true,"balance_infos":[{"currency":"CNY","total_balance":"110.00",'
                '"granted_balance":"10.00","topped_up_balance":"100.00"}]}',
            )
        ],
        readings=[
            Reading(
                kind=BALANCE,
                currency="CNY",
                remaining=Decimal(110),
                granted=Decimal(10),
                topped_up=Decimal(100),
                is_usable=True,
            )
        ],
    ),
    Contract(
        code="deepseek",
        case="two currencies",
        base_url="https://api.deepseek.com",
        steps=[
            Step(
                url="https://api.deepseek.com/user/balance",
                headers=bearer(KEY),
                answer='{"is_available":false,"balance_infos":[{"currency":"CNY","total_balance":"0.00",'
                '"granted_balance":null,"topped_up_balance":"0.00"},{"currency":"USD","total_balance":"-0.01"}]}',
            )
        ],
        readings=[
            Reading(
                kind=BALANCE, currency="CNY", remaining=Decimal(0), topped_up=Decimal(0), is_usable=False
            ),
            Reading(kind=BALANCE, currency="USD", remaining=Decimal("-0.01"), is_usable=False),
        ],
    ),
    *(
        Contract(
            code=code,
            base_url=f"https://{host}",
            steps=[
                Step(
                    url=f"https://{host}/v1/users/me/balance",
                    headers=bearer(KEY),
                    answer='{"code":0,"data":{"available_balance":49.58894,"voucher_balance":46.58893,'
                    '"cash_balance":3.00001},"scode":"0x0","status":true}',
                )
            ],
            readings=[
                Reading(
                    kind=BALANCE,
                    currency=currency,
                    remaining=Decimal("49.58894"),
                    granted=Decimal("46.58893"),
                    topped_up=Decimal("3.00001"),
                    is_usable=True,
                )
            ],
        )
        for code, host, currency in (
            ("moonshot_cn", "api.moonshot.cn", "CNY"),
            ("moonshot_ai", "api.moonshot.ai", "USD"),
        )
    ),
    Contract(
        code="moonshot_cn",
        case="nothing left",
        base_url="https://api.moonshot.cn",
        steps=[
            Step(
                url="https://api.moonshot.cn/v1/users/me/balance",
                headers=bearer(KEY),
                answer='{"code":0,"data":{"available_balance":0,"voucher_balance":0,"cash_balance":-1.5},"status":true}',
            )
        ],
        readings=[
            Reading(
                kind=BALANCE,
                currency="CNY",
                remaining=Decimal(0),
                granted=Decimal(0),
                topped_up=Decimal("-1.5"),
                is_usable=False,
            )
        ],
    ),
    *(
        Contract(
            code=code,
            base_url=f"https://{host}",
            steps=[
                Step(
                    url=f"https://{host}/v1/user/info",
                    headers=bearer(KEY),
                    answer='{"code":20000,"message":"OK","status":true,"data":{"id":"uid","status":"normal",'
                    '"balance":"0.88","chargeBalance":"88.00","totalBalance":"88.88"}}',
                )
            ],
            readings=[
                Reading(
                    kind=BALANCE,
                    currency=currency,
                    remaining=Decimal("88.88"),
                    granted=Decimal("0.88"),
                    topped_up=Decimal(88),
                    is_weak=True,
                )
            ],
        )
        for code, host, currency in (
            ("siliconflow_cn", "api.siliconflow.cn", "CNY"),
            ("siliconflow_com", "api.siliconflow.com", "USD"),
        )
    ),
    Contract(
        code="stepfun",
        base_url="https://api.stepfun.com",
        steps=[
            Step(
                url="https://api.stepfun.com/v1/accounts",
                headers=bearer(KEY),
                answer='{"object":"account","type":"prepaid","balance":15.2,"total_cash_balance":20.0,'
                '"total_voucher_balance":15.0}',
            )
        ],
        readings=[Reading(kind=BALANCE, currency="CNY", remaining=Decimal("15.2"))],
    ),
    Contract(
        code="xai",
        base_url="https://api.x.ai",
        admin={"management_key": ADMIN_KEY, "team_id": "team/1"},
        steps=[
            Step(
                url="https://management-api.x.ai/v1/billing/teams/team%2F1/prepaid/balance",
                headers=bearer(ADMIN_KEY),
                answer='{"changes":[],"total":{"val":"-1000"}}',
            )
        ],
        readings=[Reading(kind=BALANCE, currency="USD", remaining=Decimal(10), is_weak=True)],
    ),
    Contract(
        code="novita",
        base_url="https://api.novita.ai/openai",
        steps=[
            Step(
                url="https://api.novita.ai/openapi/v1/billing/balance/detail",
                headers=bearer(KEY),
                answer='{"availableBalance":"1000000","cashBalance":"800000","creditLimit":"200000",'
                '"pendingCharges":"0","outstandingInvoices":"0"}',
            )
        ],
        readings=[Reading(kind=BALANCE, currency="USD", remaining=Decimal(100), topped_up=Decimal(80))],
    ),
    Contract(
        code="ppio",
        base_url="https://api.ppinfra.com/v3/openai",
        steps=[
            Step(
                url="https://api.ppinfra.com/v3/user",
                headers={"authorization": KEY},
                answer='{"credit_balance":1000000}',
            )
        ],
        readings=[Reading(kind=BALANCE, currency="CNY", remaining=Decimal(100))],
    ),
    *(
        Contract(
            code="deepinfra",
            case=case,
            base_url="https://api.deepinfra.com/v1/openai",
            steps=[
                Step(
                    url="https://api.deepinfra.com/payment/checklist?compute_owed=true",
                    headers=bearer(KEY),
                    answer=f'{{"stripe_balance":{owed},"recent":1.2,"limit":null,"suspended":{suspended},'
                    '"suspend_reason":null}',
                )
            ],
            readings=[Reading(kind=BALANCE, currency="USD", remaining=Decimal(left), is_usable=is_usable)],
        )
        for case, owed, left, suspended, is_usable in (
            ("", "-12.3", "12.3", "false", True),
            ("owing", "0.75", "-0.75", "true", False),
        )
    ),
    Contract(
        code="venice",
        base_url="https://api.venice.ai/api",
        steps=[
            Step(
                url="https://api.venice.ai/api/v1/billing/balance",
                headers=bearer(KEY),
                answer='{"canConsume":true,"consumptionCurrency":"DIEM","balances":{"diem":90.5,"usd":25},'
                '"diemEpochAllocation":100}',
            )
        ],
        readings=[Reading(kind=BALANCE, currency="USD", remaining=Decimal(25), is_usable=True)],
    ),
    Contract(
        code="venice",
        case="an admin key, and no dollars told",
        admin={"admin_key": ADMIN_KEY},
        base_url="https://api.venice.ai/api",
        steps=[
            Step(
                url="https://api.venice.ai/api/v1/billing/balance",
                headers=bearer(ADMIN_KEY),
                answer='{"canConsume":true,"consumptionCurrency":"DIEM","balances":{"diem":90.5,"usd":null}}',
            )
        ],
        readings=[Reading(kind=BALANCE, currency="USD", is_usable=True)],
    ),
    Contract(
        code="ai302",
        base_url="https://api.302.ai",
        steps=[
            Step(
                url="https://api.302.ai/dashboard/balance",
                headers=bearer(KEY),
                answer='{"data":{"balance":"12.34"}}',
            )
        ],
        readings=[Reading(kind=BALANCE, currency="USD", remaining=Decimal("12.34"))],
    ),
    Contract(
        code="zenmux",
        base_url="https://zenmux.ai/api",
        admin={"management_key": ADMIN_KEY},
        steps=[
            Step(
                url="https://zenmux.ai/api/v1/management/payg/balance",
                headers=bearer(ADMIN_KEY),
                answer='{"success":true,"data":{"currency":"usd","total_credits":482.74,"top_up_credits":35.00,'
                '"bonus_credits":447.74}}',
            )
        ],
        readings=[
            Reading(
                kind=BALANCE,
                currency="USD",
                remaining=Decimal("482.74"),
                granted=Decimal("447.74"),
                topped_up=Decimal(35),
            )
        ],
    ),
]
