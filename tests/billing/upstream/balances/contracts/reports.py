"""Providers that tell what was spent and not what is left."""

from decimal import Decimal

from billing.upstream.balances.reading import Reading
from tests.billing.upstream.balances.contracts.form import (
    ADMIN_KEY,
    KEY,
    NEXT_MONTH,
    SPEND,
    Contract,
    Step,
    bearer,
)

LIMIT = (
    '{"object":"organization.spend_limit","threshold_amount":10000,"currency":"USD","interval":"month",'
    '"enforcement":{"status":"enforcing"}}'
)
ANTHROPIC_HEADERS = {"x-api-key": ADMIN_KEY, "anthropic-version": "2023-06-01"}
ANTHROPIC_URL = (
    "https://api.anthropic.com/v1/organizations/cost_report"
    "?starting_at=2026-11-01T00%3A00%3A00Z&bucket_width=1d&limit=31"
)


def costs(answer: str, *, page: str = "", project: str = "") -> Step:
    query = f"start_time=1793491200&bucket_width=1d&limit=31{project}{page}"
    return Step(
        url=f"https://api.openai.com/v1/organization/costs?{query}", headers=bearer(ADMIN_KEY), answer=answer
    )


def cost_page(*amounts: str, more: str = "") -> str:
    results = ",".join(
        f'{{"object":"organization.costs.result","amount":{amount},"line_item":null,"project_id":null}}'
        for amount in amounts
    )
    bucket = f'{{"object":"bucket","start_time":1730419200,"end_time":1730505600,"results":[{results}]}}'
    tail = f'"has_more":true,"next_page":"{more}"' if more else '"has_more":false,"next_page":null'
    return f'{{"object":"page","data":[{bucket}],{tail}}}'


def spend_limit(*, project: str = "") -> Step:
    url = f"https://api.openai.com/v1/organization{project}/spend_limit"
    return Step(url=url, headers=bearer(ADMIN_KEY), answer=LIMIT)


CONTRACTS = [
    Contract(
        code="openai_costs",
        base_url="https://api.openai.com",
        admin={"admin_key": ADMIN_KEY},
        steps=[
            spend_limit(),
            costs(cost_page('{"value":0.06,"currency":"usd"}', '{"value":"12.5","currency":"usd"}')),
        ],
        readings=[
            Reading(
                kind=SPEND,
                currency="USD",
                remaining=Decimal("87.44"),
                limit=Decimal(100),
                used=Decimal("12.56"),
                period="month",
                resets_at=NEXT_MONTH,
            )
        ],
    ),
    Contract(
        code="openai_costs",
        case="a project, in pages and two currencies",
        base_url="https://api.openai.com",
        admin={"admin_key": ADMIN_KEY, "project_id": "proj_1/2"},
        steps=[
            spend_limit(project="/projects/proj_1%2F2"),
            costs(
                cost_page('{"value":1,"currency":"eur"}', more="page_2 &="),
                project="&project_ids%5B%5D=proj_1%2F2",
            ),
            costs(
                cost_page('{"value":0.3,"currency":"usd"}', '{"value":-0.1,"currency":"usd"}'),
                project="&project_ids%5B%5D=proj_1%2F2",
                page="&page=page_2+%26%3D",
            ),
        ],
        readings=[
            Reading(kind=SPEND, currency="EUR", used=Decimal(1), period="month", resets_at=NEXT_MONTH),
            Reading(
                kind=SPEND,
                currency="USD",
                remaining=Decimal("99.8"),
                limit=Decimal(100),
                used=Decimal("0.2"),
                period="month",
                resets_at=NEXT_MONTH,
            ),
        ],
    ),
    Contract(
        code="openai_costs",
        case="a month without calls",
        base_url="https://api.openai.com",
        admin={"admin_key": ADMIN_KEY},
        steps=[spend_limit(), costs(cost_page())],
        readings=[
            Reading(
                kind=SPEND,
                currency="USD",
                remaining=Decimal(100),
                limit=Decimal(100),
                used=Decimal(0),
                period="month",
                resets_at=NEXT_MONTH,
            )
        ],
    ),
    Contract(
        code="anthropic_costs",
        base_url="https://api.anthropic.com",
        admin={"admin_key": ADMIN_KEY},
        steps=[
            Step(
                url=ANTHROPIC_URL,
                headers=ANTHROPIC_HEADERS,
                answer='{"data":[{"starting_at":"2026-11-01T00:00:00Z","ending_at":"2026-11-02T00:00:00Z","results":'
                '[{"currency":"USD","amount":"12345.00","description":null,"cost_type":null,"workspace_id":null}]}],'
                '"has_more":true,"next_page":"page_MjAyNS0wNS0xNFQwMDowMDowMFo="}',
            ),
            Step(
                url=f"{ANTHROPIC_URL}&page=page_MjAyNS0wNS0xNFQwMDowMDowMFo%3D",
                headers=ANTHROPIC_HEADERS,
                answer='{"data":[{"starting_at":"2026-11-02T00:00:00Z","ending_at":"2026-11-03T00:00:00Z","results":'
                '[{"currency":"USD","amount":"0.5"}]},{"starting_at":"x","ending_at":"y","results":[]}],'
                '"has_more":false,"next_page":null}',
            ),
        ],
        readings=[
            Reading(kind=SPEND, currency="USD", used=Decimal("123.455"), period="month", resets_at=NEXT_MONTH)
        ],
    ),
    Contract(
        code="anthropic_costs",
        case="a month without calls",
        base_url="https://api.anthropic.com",
        admin={"admin_key": ADMIN_KEY},
        steps=[
            Step(
                url=ANTHROPIC_URL,
                headers=ANTHROPIC_HEADERS,
                answer='{"data":[],"has_more":false,"next_page":null}',
            ),
        ],
        readings=[Reading(kind=SPEND, currency="USD", used=Decimal(0), period="month", resets_at=NEXT_MONTH)],
    ),
    Contract(
        code="fireworks",
        base_url="https://api.fireworks.ai/inference",
        steps=[
            Step(
                url="https://api.fireworks.ai/v1/accounts",
                headers=bearer(KEY),
                answer='{"accounts":[{"name":"accounts/x0mh0x","displayName":"me"}],"nextPageToken":"","totalSize":1}',
            ),
            Step(
                url="https://api.fireworks.ai/v1/accounts/x0mh0x/billing/summary"
                "?startTime=2026-11-01T00%3A00%3A00Z&endTime=2026-11-27T00%3A00%3A00Z",
                headers=bearer(KEY),
                answer='{"lineItems":[{"totalCost":{"currencyCode":"USD","nanos":492256016,"units":"0"}},'
                '{"totalCost":{"currencyCode":"USD","nanos":33292280,"units":"1"}},'
                '{"totalCost":{"currencyCode":"USD","units":"2"}}],"usageBuckets":[]}',
            ),
        ],
        readings=[
            Reading(
                kind=SPEND, currency="USD", used=Decimal("3.525548296"), period="month", resets_at=NEXT_MONTH
            )
        ],
    ),
    Contract(
        code="fireworks",
        case="an account by name, a month without calls",
        base_url="https://api.fireworks.ai/inference",
        admin={"account_id": "me/too"},
        steps=[
            Step(
                url="https://api.fireworks.ai/v1/accounts/me%2Ftoo/billing/summary"
                "?startTime=2026-11-01T00%3A00%3A00Z&endTime=2026-11-27T00%3A00%3A00Z",
                headers=bearer(KEY),
                answer='{"lineItems":[],"usageBuckets":[]}',
            ),
        ],
        readings=[Reading(kind=SPEND, currency="USD", used=Decimal(0), period="month", resets_at=NEXT_MONTH)],
    ),
]
