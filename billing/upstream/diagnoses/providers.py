"""The providers whose errors are known, and how to tell whose an error is."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

_HEARD = 8192
"""How much of a body is looked at for who wrote it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider, and what gives it away."""

    title: str
    is_relay: bool = False
    """Whether it passes on what others wrote."""
    hosts: tuple[str, ...] = ()
    """One that begins with a point or a hyphen stands for all that end so."""
    headers: tuple[str, ...] = ()
    """Beginnings of the names of headers that only it sends."""
    marks: tuple[str, ...] = ()
    """Words in the body, in small letters, that only it writes."""


PROVIDERS: Mapping[str, Provider] = {
    "openrouter": Provider(
        title="OpenRouter",
        is_relay=True,
        hosts=("openrouter.ai",),
        marks=('"openrouter_', "openrouter.ai/", "free-models-per-"),
    ),
    "litellm": Provider(
        title="LiteLLM",
        is_relay=True,
        headers=("x-litellm-",),
        marks=('"budget_exceeded"', "exceededbudget:"),
    ),
    "new_api": Provider(title="New API", is_relay=True, headers=("x-new-api-",), marks=('"new_api_error"',)),
    "one_api": Provider(
        title="One API",
        is_relay=True,
        headers=("x-oneapi-",),
        marks=('"one_api_error"', "当前分组上游负载"),
    ),
    "azure": Provider(
        title="Azure OpenAI",
        hosts=(".openai.azure.com", ".cognitiveservices.azure.com", ".azure-api.net"),
        headers=("apim-request-id", "x-ms-region", "azureml-"),
        marks=("azure openai", "aka.ms/oai"),
    ),
    "openai": Provider(
        title="OpenAI", hosts=("api.openai.com",), headers=("openai-",), marks=("platform.openai.com",)
    ),
    "anthropic": Provider(
        title="Anthropic",
        hosts=("api.anthropic.com",),
        headers=("anthropic-",),
        marks=("anthropic api", '"request_id":"req_', '"request_id": "req_'),
    ),
    "code_assist": Provider(
        title="Gemini Code Assist",
        hosts=("cloudcode-pa.googleapis.com",),
        marks=("cloudcode-pa.googleapis.com", "exhausted your capacity on this model"),
    ),
    "gemini": Provider(
        title="Gemini API",
        hosts=("generativelanguage.googleapis.com",),
        marks=("generativelanguage.googleapis.com", "ai.google.dev", "ai.studio/"),
    ),
    "vertex": Provider(
        title="Vertex AI",
        hosts=("aiplatform.googleapis.com", "-aiplatform.googleapis.com"),
        marks=("cloud.google.com/vertex-ai",),
    ),
    "deepseek": Provider(title="DeepSeek", hosts=("api.deepseek.com",), marks=("api-docs.deepseek.com",)),
    "moonshot": Provider(
        title="Moonshot",
        hosts=("api.moonshot.cn", "api.moonshot.ai", "api.kimi.com"),
        marks=('"exceeded_current_quota_error"', '"rate_limit_reached_error"', "moonshot.cn", "moonshot.ai"),
    ),
    "siliconflow": Provider(
        title="SiliconFlow", hosts=("api.siliconflow.cn", "api.siliconflow.com"), marks=("siliconflow.c",)
    ),
    "zhipu": Provider(
        title="Zhipu / Z.ai", hosts=("open.bigmodel.cn", "api.z.ai"), marks=("bigmodel.cn", "无可用资源包")
    ),
    "dashscope": Provider(
        title="Alibaba DashScope",
        hosts=("dashscope.aliyuncs.com", ".dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com"),
        headers=("x-dashscope-",),
        marks=("aliyun.com", "alibabacloud.com", '"arrearage"', '"throttling.'),
    ),
    "volcengine": Provider(
        title="Volcengine Ark",
        hosts=(".volces.com", ".bytepluses.com"),
        headers=("x-tt-logid",),
        marks=("volcengine.com", '"accountoverdueerror"', '"modelaccount'),
    ),
    "baidu": Provider(
        title="Baidu Qianfan",
        hosts=("qianfan.baidubce.com", "aip.baidubce.com"),
        headers=("x-bce-",),
        marks=('"error_msg"', '"id":"as-', '"id": "as-', "baidubce"),
    ),
    "mistral": Provider(
        title="Mistral",
        hosts=("api.mistral.ai",),
        headers=("mistral-", "x-ratelimit-limit-req-minute"),
        marks=('"raw_status_code"',),
    ),
    "groq": Provider(
        title="Groq", hosts=("api.groq.com",), headers=("x-groq-",), marks=("console.groq.com", "groq.com/")
    ),
    "xai": Provider(
        title="xAI", hosts=("api.x.ai",), marks=("console.x.ai", "grok subscription", "tokens for team")
    ),
    "together": Provider(
        title="Together", hosts=("api.together.xyz", "api.together.ai"), marks=("together.ai",)
    ),
    "fireworks": Provider(
        title="Fireworks", hosts=("api.fireworks.ai",), headers=("fireworks-",), marks=("fireworks.ai",)
    ),
    "minimax": Provider(
        title="MiniMax",
        hosts=("api.minimax.io", "api.minimaxi.com", "api.minimax.chat"),
        marks=('"base_resp"', "for token plan"),
    ),
    "novita": Provider(title="Novita", hosts=("api.novita.ai",), marks=('"not_enough_balance"', "novita.ai")),
    "venice": Provider(
        title="Venice",
        hosts=("api.venice.ai",),
        headers=("x-venice-",),
        marks=("venice.ai", "api_key_usd_spend_limit_exceeded"),
    ),
    "deepinfra": Provider(title="DeepInfra", hosts=("api.deepinfra.com",), marks=("deepinfra.com",)),
}
"""By the names that callers of the API use. In this order they are looked for."""

_TELLING = tuple(beginning for provider in PROVIDERS.values() for beginning in provider.headers)


@lru_cache(maxsize=1024)
def provider_at(base_url: str) -> str | None:
    """Whose address it is; None if it is nobody's that is known, most likely a relay's."""
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError:
        return None
    for name, provider in PROVIDERS.items():
        if any(host == known or (known[0] in ".-" and host.endswith(known)) for known in provider.hosts):
            return name
    return None


def sender_of(headers: Mapping[str, str]) -> str | None:
    """Who sent an answer, by its headers.

    :param headers: names in small letters
    """
    telling = [header for header in headers if header.startswith(_TELLING)]
    if telling:
        for name, provider in PROVIDERS.items():
            if any(header.startswith(provider.headers) for header in telling):
                return name
    return None


def authors_of(text: str) -> list[str]:
    """Who wrote an answer, by the words in its body: relays that passed it on, and one that is none.

    :param text: in small letters
    """
    beginning = text[:_HEARD]
    found = [
        name for name, provider in PROVIDERS.items() if any(mark in beginning for mark in provider.marks)
    ]
    relays = [name for name in found if PROVIDERS[name].is_relay]
    return [*relays, *[name for name in found if name not in relays][:1]]
