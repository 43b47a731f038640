"""All reports, by the adapters whose credentials they need."""

from collections.abc import Mapping
from datetime import datetime

from billing.upstream.balances.ask import Ask
from billing.upstream.balances.reading import Account
from billing.upstream.balances.registry import ADAPTERS
from billing.upstream.usage_reports.providers.anthropic import AnthropicUsage
from billing.upstream.usage_reports.providers.openai import OpenAIUsage
from billing.upstream.usage_reports.report import Report, Span, Tokens

REPORTS: Mapping[str, Report] = {report.code: report for report in (OpenAIUsage(), AnthropicUsage())}


def read_usage(code: str, account: Account, span: Span, *, now: datetime) -> dict[str, Tokens]:
    """Ask a provider how many tokens it counted, model by model.

    :param code: of the adapter that reads the balance
    :raises KeyError: if there is no such report
    :raises BalanceUnavailableError: if it could not be asked now
    :raises BalanceRefusedError: if it refuses, is not understood, or a credential is not entered
    """
    adapter = ADAPTERS[code]
    adapter.check_credentials(account)
    return REPORTS[code].read(account, span, Ask(now=now, secrets=adapter.secrets(account)))
