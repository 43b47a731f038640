"""Reports that come in pages, as OpenAI and Anthropic send them: ``has_more`` and ``next_page``."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from django.utils.translation import gettext_lazy as _

from billing.upstream.balances.ask import Ask
from billing.upstream.balances.parsing import flag, odd, refusal, text

MOST_PAGES = 10
"""A month of daily buckets fits on one or two."""


def pages(ask: Ask, url: str, headers: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Read all pages; a part of them would be a sum that is too small.

    :param url: with a query
    :raises BalanceRefusedError: if there are too many, or the way to the next one is missing
    """
    address, seen = url, set()
    for _number in range(MOST_PAGES):
        page = ask.get(address, headers=headers)
        yield page
        if not flag(page, "has_more"):
            return
        cursor = text(page, "next_page")
        if not cursor or cursor in seen:
            raise odd("next_page")
        seen.add(cursor)
        address = f"{url}&{urlencode({'page': cursor})}"
    raise refusal(_("The report has too many pages."))
