"""The ``usage`` objects of providers, brought to one form."""

from typing import Any

from billing.pricing import TokenCounts


def read_usage(usage: Any) -> TokenCounts | None:
    """Read an OpenAI-compatible ``usage`` object; None if it is none.

    ``cached`` is part of ``prompt``: OpenAI's ``prompt_tokens_details.cached_tokens`` or DeepSeek's
    ``prompt_cache_hit_tokens``. Counts that contradict each other are taken so that nothing gets free.
    Sources: platform.openai.com/docs/api-reference/chat/object, api-docs.deepseek.com/guides/kv_cache
    """
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if prompt is None and completion is None:
        return None
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    if cached is None:
        cached = _count(usage.get("prompt_cache_hit_tokens"))
    prompt = prompt or 0
    return TokenCounts(prompt=prompt, completion=completion or 0, cached=min(cached or 0, prompt))


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return max(int(value), 0) if value < 2**53 else None
