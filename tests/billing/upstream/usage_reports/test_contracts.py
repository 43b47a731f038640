"""Every report against what its provider documents: over HTTP, request by request, count by count."""

from datetime import UTC, datetime, timedelta

import pytest

from billing.upstream.balances.reading import Account
from billing.upstream.balances.registry import ADAPTERS
from billing.upstream.usage_reports.registry import REPORTS
from billing.upstream.usage_reports.report import Span, Tokens
from tests.billing.upstream.balances.provider import Provider
from tests.billing.upstream.usage_reports.reporting import (
    ADMIN_KEY,
    anthropic_page,
    anthropic_result,
    openai_page,
    openai_result,
)

KEY = "sk-channel-0123456789abcdef"
BEGAN = datetime(2026, 11, 26, 15, 0, tzinfo=UTC)
MINUTES = Span(since=BEGAN, until=BEGAN + timedelta(minutes=10), width="1m")
HOURS = Span(since=BEGAN, until=BEGAN + timedelta(hours=200), width="1h")
OPENAI_URL = (
    "https://api.openai.com/v1/organization/usage/completions"
    "?start_time=1795705200&end_time=1795705800&bucket_width=1m&group_by%5B%5D=model&limit=120"
)
ANTHROPIC_URL = (
    "https://api.anthropic.com/v1/organizations/usage_report/messages?starting_at=2026-11-26T15%3A00%3A00Z"
    "&ending_at=2026-11-26T15%3A11%3A00Z&bucket_width=1m&group_by%5B%5D=model&limit=120"
)
ANTHROPIC_HEADERS = {"x-api-key": ADMIN_KEY, "anthropic-version": "2023-06-01"}


def minute(number: int) -> datetime:
    return BEGAN + timedelta(minutes=number)


def read(code: str, provider: Provider, *, span: Span = MINUTES, **admin: str) -> dict[str, Tokens]:
    access = {"admin_key": ADMIN_KEY, **admin}
    account = Account(base_url="https://api.example.com", key=KEY, admin=access)
    return REPORTS[code].read(account, span, provider.ask(*ADAPTERS[code].secrets(account)))


def tokens(requests: int | None, prompt: int, cached: int | None, completion: int) -> Tokens:
    return Tokens(requests=requests, prompt_tokens=prompt, cached_tokens=cached, completion_tokens=completion)


def test_openai_tells_each_model_in_pages_of_buckets(provider: Provider) -> None:
    mini = {"requests": 1, "prompt": 7, "cached": 0, "completion": 3}
    provider.says(
        openai_page(
            (
                minute(0),
                [openai_result("gpt-4o-2024-08-06", requests=5, prompt=1000, cached=800, completion=500)],
            ),
            (minute(1), []),
            more="AAAAAGdGxdEiJdKOAAAAAGcqsYA=",
        ),
        openai_page(
            (
                minute(9),
                [
                    openai_result("gpt-4o-2024-08-06", requests=1, prompt=20, cached=10, completion=5),
                    openai_result("gpt-4o-mini-2024-07-18", **mini),
                ],
            )
        ),
    )

    found = read("openai_costs", provider)

    assert found == {
        "gpt-4o-2024-08-06": tokens(6, 1020, 810, 505),
        "gpt-4o-mini-2024-07-18": tokens(1, 7, 0, 3),
    }
    assert [(asked.url, asked.headers) for asked in provider.asked] == [
        (OPENAI_URL, {"authorization": f"Bearer {ADMIN_KEY}"}),
        (f"{OPENAI_URL}&page=AAAAAGdGxdEiJdKOAAAAAGcqsYA%3D", {"authorization": f"Bearer {ADMIN_KEY}"}),
    ]


def test_openai_is_asked_for_one_project_where_only_that_counts(provider: Provider) -> None:
    provider.says(openai_page())

    assert read("openai_costs", provider, project_id="proj_1/2") == {}
    assert provider.asked[0].url == f"{OPENAI_URL}&project_ids%5B%5D=proj_1%2F2"


def test_what_openai_leaves_out_is_unknown_and_not_0(provider: Provider) -> None:
    result = '{"input_tokens":1000,"output_tokens":500,"input_cached_tokens":null,"model":"gpt-4o"}'
    provider.says(openai_page((minute(0), [result])))

    assert read("openai_costs", provider) == {"gpt-4o": tokens(None, 1000, None, 500)}


def test_anthropic_tells_the_input_in_parts_and_no_number_of_calls(provider: Provider) -> None:
    sonnet = {"uncached": 1500, "cached": 200, "written": (1000, 500), "output": 500}
    provider.says(
        anthropic_page(
            ("2026-11-26T15:00:00Z", [anthropic_result("claude-sonnet-4-20250514", **sonnet)]),
            more="page_MjAyNS0wNS0xNFQwMDowMDowMFo=",
        ),
        anthropic_page(
            ("2026-11-26T15:09:00Z", [anthropic_result("claude-sonnet-4-20250514", **sonnet)]),
            (
                "2026-11-26T15:09:00Z",
                [anthropic_result("claude-opus-5", uncached=1, cached=0, written=(0, 0), output=2)],
            ),
        ),
    )

    found = read("anthropic_costs", provider)

    assert found == {
        "claude-sonnet-4-20250514": tokens(None, 6400, 400, 1000),
        "claude-opus-5": tokens(None, 1, 0, 2),
    }
    assert [(asked.url, asked.headers) for asked in provider.asked] == [
        (ANTHROPIC_URL, ANTHROPIC_HEADERS),
        (f"{ANTHROPIC_URL}&page=page_MjAyNS0wNS0xNFQwMDowMDowMFo%3D", ANTHROPIC_HEADERS),
    ]


@pytest.mark.parametrize("code", list(REPORTS))
def test_buckets_beyond_the_time_do_not_count(code: str, provider: Provider) -> None:
    used = {"requests": 1, "prompt": 1, "cached": 0, "completion": 1}
    parts = {"uncached": 1, "cached": 0, "written": (0, 0), "output": 1}
    provider.says(
        {
            "openai_costs": openai_page(
                *((minute(at), [openai_result(f"m{at}", **used)]) for at in (-1, 0, 9, 10))
            ),
            "anthropic_costs": anthropic_page(
                ("2026-11-26T14:59:00Z", [anthropic_result("m-1", **parts)]),
                ("2026-11-26T15:00:00Z", [anthropic_result("m0", **parts)]),
                ("2026-11-26T15:09:00Z", [anthropic_result("m9", **parts)]),
                ("2026-11-26T15:10:00Z", [anthropic_result("m10", **parts)]),
            ),
        }[code]
    )

    assert set(read(code, provider)) == {"m0", "m9"}


@pytest.mark.parametrize("code", list(REPORTS))
def test_long_times_are_asked_for_in_hours(code: str, provider: Provider) -> None:
    provider.says('{"data":[],"has_more":false,"next_page":null}')

    assert read(code, provider, span=HOURS) == {}
    assert "bucket_width=1h&" in provider.asked[0].url
    assert "limit=168" in provider.asked[0].url
    assert "ending_at=2026-12-05T00%3A00" in provider.asked[0].url or "end_time=1796425200" in (
        provider.asked[0].url
    )


def test_every_report_belongs_to_an_adapter_and_names_its_page() -> None:
    assert list(REPORTS) == ["openai_costs", "anthropic_costs"]
    for code, report in REPORTS.items():
        assert "admin_key" in [field.name for field in ADAPTERS[code].fields if field.is_required]
        assert report.source.startswith("https://")
