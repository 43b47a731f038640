"""Anthropic: the tokens of messages, told to an admin key only; how many calls there were is not told.

https://platform.claude.com/docs/en/api/admin/usage_report/retrieve_messages: ``GET
/v1/organizations/usage_report/messages``, in pages of buckets; the input is told in parts, by what the cache
did. https://platform.claude.com/docs/en/manage-claude/usage-cost-api: calls take some five minutes.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from billing.upstream.balances.ask import Ask
from billing.upstream.balances.pages import pages
from billing.upstream.balances.parsing import iso_time, mapping
from billing.upstream.balances.providers.anthropic import HOST, AnthropicCosts
from billing.upstream.balances.reading import Account
from billing.upstream.usage_reports.report import (
    Report,
    Span,
    Tokens,
    by_model,
    certain_count,
    model_of,
    results_within,
)


class AnthropicUsage(Report):
    code = AnthropicCosts.code
    source = "https://platform.claude.com/docs/en/api/admin/usage_report/retrieve_messages"

    def read(self, account: Account, span: Span, ask: Ask) -> dict[str, Tokens]:
        headers = {"x-api-key": account.admin["admin_key"], "anthropic-version": "2023-06-01"}
        query = {
            "starting_at": _written(span.since),
            # Of the "buckets that end before" it: that may leave out the last one, so one more is asked for.
            "ending_at": _written(span.until + span.step),
            "bucket_width": span.width,
            "group_by[]": "model",
            "limit": str(span.on_a_page),
        }
        url = f"https://{HOST}/v1/organizations/usage_report/messages?{urlencode(query)}"
        return by_model(used for page in pages(ask, url, headers) for used in _used(page, span))


def _used(page: dict[str, Any], span: Span) -> Iterator[tuple[str, Tokens]]:
    for result in results_within(span, page, begins="starting_at", read=iso_time):
        cached, written = certain_count(result, "cache_read_input_tokens"), mapping(result, "cache_creation")
        parts = [
            certain_count(result, "uncached_input_tokens"),
            cached,
            certain_count(written, "ephemeral_5m_input_tokens"),
            certain_count(written, "ephemeral_1h_input_tokens"),
        ]
        yield (
            model_of(result),
            Tokens(
                requests=None,
                prompt_tokens=sum(parts),
                cached_tokens=cached,
                completion_tokens=certain_count(result, "output_tokens"),
            ),
        )


def _written(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
