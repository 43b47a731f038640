"""Does a channel answer? One small, non-streamed chat completion, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from billing.models import Channel
from billing.services.channels import check_key_may_go_to
from billing.upstream.client import Answer, UpstreamCallError, call

logger = structlog.get_logger(__name__)

PROMPT = "Reply with the word OK."
MAX_OUTPUT_TOKENS = 16
_CHAT = "/v1/chat/completions"


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """How a test went: ``latency_ms`` when the channel answered, else ``error`` in words."""

    __test__ = False  # not a test of our own

    model: str
    latency_ms: int | None
    error: str

    @property
    def is_ok(self) -> bool:
        return not self.error


def test_channel(*, channel: Channel, model: str | None = None, at: datetime) -> TestResult:  # noqa: PT028
    """Ask a channel for a few tokens and keep the result with the channel.

    It costs a fraction of a cent at the provider and nobody here. No transaction is open
    while the provider is waited for.

    :param model: one of the channel's models as callers ask for it; the first one by default
    """
    asked = model or next(iter(channel.models), "")
    result = _ask(channel, asked)
    Channel.objects.filter(pk=channel.pk).update(
        tested_at=at, test_ms=result.latency_ms, test_error=result.error[:255]
    )
    channel.tested_at, channel.test_ms, channel.test_error = at, result.latency_ms, result.error[:255]
    if not result.is_ok:
        logger.warning("billing.channel_test_failed", channel_id=channel.pk, model=asked, reason=result.error)
    return result


test_channel.__test__ = False  # type: ignore[attr-defined]  # nor is this


def list_models(*, base_url: str, key: str) -> list[str]:
    """Ask a provider which models it has, sorted by name.

    :raises UpstreamCallError: if it cannot be asked or gives no list
    """
    answer = call("GET", base_url, "/v1/models", key=key)
    if answer.failure:
        raise UpstreamCallError(reason=answer.failure)
    entries = answer.data.get("data")
    if not isinstance(entries, list):
        raise UpstreamCallError(reason=_("It gives no list of models; enter them by hand."))
    names = (entry.get("id") for entry in entries if isinstance(entry, dict))
    return sorted({name for name in names if isinstance(name, str) and 0 < len(name) <= 128})


def list_models_of_form(*, channel: Channel | None, base_url: str, key: str) -> list[str]:
    """The models at an address, asked for with a key just entered, else with the channel's own.

    :raises ValidationError: if there is neither, or the channel's key belongs to another host
    :raises UpstreamCallError: if the provider cannot be asked or gives no list
    """
    if not key and channel is not None:
        check_key_may_go_to(channel=channel, base_url=base_url)
        key = channel.get_key()
    if not key:
        raise ValidationError({"key": _("Enter the key first.")})
    return list_models(base_url=base_url, key=key)


def _ask(channel: Channel, asked: str) -> TestResult:
    if not asked:
        return TestResult(model="", latency_ms=None, error=_("The channel has no models."))
    served = channel.model_mapping.get(asked, asked)
    try:
        answer = _chat(channel, served, "max_tokens")
        if (
            answer.status == 400 and "max_completion_tokens" in answer.text
        ):  # newer models renamed the parameter
            answer = _chat(channel, served, "max_completion_tokens")
    except UpstreamCallError as exc:
        return TestResult(model=asked, latency_ms=None, error=str(exc))
    error = answer.failure
    if not error and not answer.data.get("choices"):
        error = _("The answer is not a chat completion; check the base URL and the model.")
    return TestResult(model=asked, latency_ms=None if error else answer.elapsed_ms, error=error)


def _chat(channel: Channel, served: str, limit: str) -> Answer:
    body: dict[str, Any] = {
        "model": served,
        "messages": [{"role": "user", "content": PROMPT}],
        "stream": False,
        limit: MAX_OUTPUT_TOKENS,
    }
    return call("POST", channel.base_url.rstrip("/"), _CHAT, key=channel.get_key(), body=body)
