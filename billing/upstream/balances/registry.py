"""All adapters, and which one fits an address."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from billing.upstream.balances.adapter import Adapter
from billing.upstream.balances.ask import Ask
from billing.upstream.balances.providers.ai302 import AI302
from billing.upstream.balances.providers.alibaba import AlibabaChina, AlibabaInternational
from billing.upstream.balances.providers.anthropic import AnthropicCosts
from billing.upstream.balances.providers.baidu import Baidu
from billing.upstream.balances.providers.credit_grants import CreditGrants
from billing.upstream.balances.providers.deepinfra import DeepInfra
from billing.upstream.balances.providers.deepseek import DeepSeek
from billing.upstream.balances.providers.fireworks import Fireworks
from billing.upstream.balances.providers.litellm import LiteLLM
from billing.upstream.balances.providers.manual import Manual
from billing.upstream.balances.providers.moonshot import MoonshotChina, MoonshotInternational
from billing.upstream.balances.providers.novita import Novita
from billing.upstream.balances.providers.openai import OpenAICosts
from billing.upstream.balances.providers.openai_dashboard import OpenAIDashboard
from billing.upstream.balances.providers.openrouter import OpenRouter
from billing.upstream.balances.providers.ppio import PPIO
from billing.upstream.balances.providers.relay import NewApiToken, OneApiAccount, OneApiToken
from billing.upstream.balances.providers.sandbox import Sandbox
from billing.upstream.balances.providers.siliconflow import SiliconFlowChina, SiliconFlowInternational
from billing.upstream.balances.providers.stepfun import StepFun
from billing.upstream.balances.providers.venice import Venice
from billing.upstream.balances.providers.volcengine import Volcengine
from billing.upstream.balances.providers.xai import XAI
from billing.upstream.balances.providers.zenmux import ZenMux
from billing.upstream.balances.reading import Account, Reading

ADAPTERS: Mapping[str, Adapter] = {
    adapter.code: adapter
    for adapter in (
        OneApiToken(),
        OneApiAccount(),
        NewApiToken(),
        OpenAICosts(),
        AnthropicCosts(),
        OpenRouter(),
        DeepSeek(),
        MoonshotChina(),
        MoonshotInternational(),
        SiliconFlowChina(),
        SiliconFlowInternational(),
        StepFun(),
        AlibabaChina(),
        AlibabaInternational(),
        Volcengine(),
        Baidu(),
        XAI(),
        Novita(),
        PPIO(),
        DeepInfra(),
        Venice(),
        Fireworks(),
        AI302(),
        ZenMux(),
        LiteLLM(),
        OpenAIDashboard(),
        CreditGrants(),
        Sandbox(),
        Manual(),
    )
}
"""By their codes, in the order in which people see them."""


def guess(base_url: str) -> str:
    """The code of the adapter that fits a channel's address; an unknown host is most likely a relay."""
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError:  # of an address that is none, while it is typed
        host = ""
    for adapter in ADAPTERS.values():
        if any(host == known or (known[0] == "." and host.endswith(known)) for known in adapter.hosts):
            return adapter.code
    return OneApiToken.code


@dataclass(frozen=True, slots=True)
class Told:
    """What a provider told."""

    readings: list[Reading]
    raw: str
    """Its answers as they came, without secrets."""


def read_balance(code: str, account: Account, *, now: datetime) -> Told:
    """Ask a provider what is left.

    :raises KeyError: if there is no such adapter
    :raises BalanceUnavailableError: if it could not be asked now
    :raises BalanceRefusedError: if it refuses, is not understood, or a credential is not entered
    """
    adapter = ADAPTERS[code]
    ask = Ask(now=now, secrets=adapter.secrets(account))
    return Told(adapter.read(account, ask), "\n\n".join(ask.heard))
