"""All that is asked of a provider together, which takes no longer than its deadline."""

from datetime import timedelta
from typing import Any

import pytest

from billing.upstream import client
from billing.upstream.balances.ask import Ask
from billing.upstream.balances.errors import BalanceRefusedError, BalanceUnavailableError
from billing.upstream.balances.pages import pages
from tests.billing.upstream.balances.provider import NOW, Answering, Provider

URL = "https://api.example.com/report?width=1d"


class SlowProvider:
    """Sends a page, and always says that there is another; each takes so many seconds of a clock of its own."""

    def __init__(self, takes: float) -> None:
        self.takes = takes
        self.seconds = 1000.0
        self.timeouts: list[float] = []

    def ask(self) -> Ask:
        return Ask(now=NOW, transport=self._transport, clock=lambda: self.seconds)

    def _transport(self, *_args: Any, timeout: timedelta, **_more: Any) -> client.Answer:
        self.timeouts.append(timeout.total_seconds())
        self.seconds += min(self.takes, timeout.total_seconds())
        if self.takes > timeout.total_seconds():
            raise client.UpstreamCallError(reason=f"No complete answer within {timeout.seconds} seconds.")
        page = {"has_more": True, "next_page": str(self.seconds)}
        return client.Answer(status=200, data=page, text="", elapsed_ms=1)


@pytest.mark.parametrize(
    ("takes", "timeouts"), [(14, [15, 15, 2]), (10, [15, 15, 10]), (7.5, [15, 15, 15, 7.5])]
)
def test_all_pages_together_have_half_a_minute(takes: float, timeouts: list[float]) -> None:
    slow = SlowProvider(takes)

    with pytest.raises(BalanceUnavailableError, match=r"^No complete answer within 30 seconds\.$"):
        list(pages(slow.ask(), URL, {}))

    assert (slow.timeouts, slow.seconds) == (timeouts, 1030)


def test_one_answer_that_is_late_says_how_long_it_had() -> None:
    slow = SlowProvider(16)

    with pytest.raises(BalanceUnavailableError, match=r"^No complete answer within 15 seconds\.$"):
        slow.ask().get(URL)


def test_pages_that_come_at_once_are_all_read() -> None:
    quick = SlowProvider(2.5)

    with pytest.raises(BalanceRefusedError, match="too many pages"):
        list(pages(quick.ask(), URL, {}))

    assert len(quick.timeouts) == 10


def test_an_answer_on_its_way_is_not_waited_for_when_the_time_is_over(provider: Provider) -> None:
    provider.answers = [Answering(body="{}"), Answering(is_hanging=True)]
    ask = provider.ask(deadline=timedelta(seconds=1))
    ask.get(URL)

    with pytest.raises(BalanceUnavailableError, match="No complete answer within 1 seconds"):
        ask.get(URL)
    with pytest.raises(BalanceUnavailableError, match="No complete answer within 1 seconds"):
        ask.post(URL, headers={})

    assert len(provider.asked) == 2
