"""OpenAI: the tokens of chat completions and responses, told to an admin key only.

https://platform.openai.com/docs/api-reference/usage/completions: ``GET /v1/organization/usage/completions``,
in pages of buckets; ``input_tokens`` has the cached ones in it. Models are named with their dates.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from billing.upstream.balances.ask import Ask, bearer
from billing.upstream.balances.pages import pages
from billing.upstream.balances.parsing import unix_time
from billing.upstream.balances.providers.openai import HOST, OpenAICosts
from billing.upstream.balances.reading import Account
from billing.upstream.usage_reports.report import (
    Report,
    Span,
    Tokens,
    by_model,
    certain_count,
    count,
    model_of,
    results_within,
)


class OpenAIUsage(Report):
    code = OpenAICosts.code
    source = "https://platform.openai.com/docs/api-reference/usage/completions"

    def read(self, account: Account, span: Span, ask: Ask) -> dict[str, Tokens]:
        project = account.admin.get("project_id", "")
        query = [
            ("start_time", str(int(span.since.timestamp()))),
            ("end_time", str(int(span.until.timestamp()))),
            ("bucket_width", span.width),
            ("group_by[]", "model"),
            ("limit", str(span.on_a_page)),
            *([("project_ids[]", project)] if project else []),
        ]
        url = f"https://{HOST}/v1/organization/usage/completions?{urlencode(query)}"
        found = pages(ask, url, bearer(account.admin["admin_key"]))
        return by_model(used for page in found for used in _used(page, span))


def _used(page: dict[str, Any], span: Span) -> Iterator[tuple[str, Tokens]]:
    for result in results_within(span, page, begins="start_time", read=unix_time):
        yield (
            model_of(result),
            Tokens(
                requests=count(result, "num_model_requests"),
                prompt_tokens=certain_count(result, "input_tokens"),
                cached_tokens=count(result, "input_cached_tokens"),
                completion_tokens=certain_count(result, "output_tokens"),
            ),
        )
