"""The ``usage`` objects of providers, brought to one form."""

from typing import Any

from billing.pricing import TokenCounts

_IMPOSSIBLE = 10**9
"""No call has a billion tokens; what they cost could pass what the database can store."""


def read_usage(usage: Any) -> TokenCounts | None:
    """Read an OpenAI-compatible ``usage`` object; None if it is none.

    ``cached`` is part of ``prompt``: OpenAI's ``prompt_tokens_details.cached_tokens`` or DeepSeek's
    ``prompt_cache_hit_tokens``. Counts that contradict each other are taken so that nothing gets free:
    what a total has beyond prompt and completion is reasoning, which some providers leave out of both.
    An object without a readable prompt, or with an unreadable completion, says nothing that can be charged.
    Sources: platform.openai.com/docs/api-reference/chat/object, api-docs.deepseek.com/guides/kv_cache,
    docs.x.ai/docs/guides/reasoning
    """
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens") or 0)
    if prompt is None or completion is None:
        return None
    details = usage.get("prompt_tokens_details")
    cached = _count(details.get("cached_tokens")) if isinstance(details, dict) else None
    if cached is None:
        cached = _count(usage.get("prompt_cache_hit_tokens"))
    beyond_prompt = (_count(usage.get("total_tokens")) or 0) - prompt
    return TokenCounts(
        prompt=prompt, completion=max(completion, beyond_prompt), cached=min(cached or 0, prompt)
    )


def _count(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(max(value, 0)) if value < _IMPOSSIBLE else None
