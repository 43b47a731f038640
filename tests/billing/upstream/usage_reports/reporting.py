"""Providers that report tokens: what they answer, and the way from their addresses to a server of ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.models import Channel, Reconciliation
from billing.services.reconciling import reconcile
from billing.upstream.usage_reports import registry
from tests.billing.upstream.balances.provider import Provider, providing
from tests.factories import make_channel, make_snapshot

ADMIN_KEY = "sk-admin-/fedcba+9876543210="


@contextmanager
def reporting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """Run a provider to which every question for a report leads."""
    with providing() as server:
        monkeypatch.setattr(registry, "Ask", lambda *, now, secrets: server.ask(*secrets, now=now))
        yield server


def make_reporting_channel(base_url: str = "https://api.openai.com", **fields: Any) -> Channel:
    """A channel with a credential that reports are told to."""
    channel = make_channel(base_url=base_url, **fields)
    channel.set_balance_access({"admin_key": ADMIN_KEY})
    channel.save()
    return channel


def make_interval(
    channel: Channel, *, began_at: datetime, ended_at: datetime, taken: str = "2", metered: str = "1"
) -> Reconciliation:
    """What a channel's provider took between two balances, and what we metered."""
    first, last = (
        make_snapshot(
            channel=channel, kind="balance", remaining=Decimal(left), metered=cost, created_at=created_at
        )
        for left, cost, created_at in (
            (Decimal(10), 0, began_at),
            (10 - Decimal(taken), int(Decimal(metered) * 10**9), ended_at),
        )
    )
    row = reconcile(channel=channel, first=first, last=last, at=ended_at)
    assert row is not None
    return row


def openai_result(model: str, *, requests: int, prompt: int, cached: int, completion: int) -> str:
    return (
        f'{{"object":"organization.usage.completions.result","input_tokens":{prompt},"output_tokens":{completion},'
        f'"input_cached_tokens":{cached},"input_audio_tokens":0,"output_audio_tokens":0,"num_model_requests":{requests},'
        f'"project_id":null,"user_id":null,"api_key_id":null,"model":"{model}","batch":null,"service_tier":null}}'
    )


def openai_page(*buckets: tuple[datetime, list[str]], more: str = "") -> str:
    data = ",".join(
        f'{{"object":"bucket","start_time":{begins.timestamp():.0f},"end_time":{begins.timestamp() + 60:.0f},'
        f'"results":[{",".join(results)}]}}'
        for begins, results in buckets
    )
    tail = f'"has_more":true,"next_page":"{more}"' if more else '"has_more":false,"next_page":null'
    return f'{{"object":"page","data":[{data}],{tail}}}'


def anthropic_result(model: str, *, uncached: int, cached: int, written: tuple[int, int], output: int) -> str:
    return (
        f'{{"uncached_input_tokens":{uncached},"cache_creation":{{"ephemeral_1h_input_tokens":{written[0]},'
        f'"ephemeral_5m_input_tokens":{written[1]}}},"cache_read_input_tokens":{cached},"output_tokens":{output},'
        '"server_tool_use":{"web_search_requests":10},"api_key_id":null,"workspace_id":null,'
        f'"model":"{model}","service_tier":null,"context_window":null}}'
    )


def anthropic_page(*buckets: tuple[str, list[str]], more: str = "") -> str:
    data = ",".join(
        f'{{"starting_at":"{begins}","ending_at":"2026-11-26T15:01:00Z","results":[{",".join(results)}]}}'
        for begins, results in buckets
    )
    tail = f'"has_more":true,"next_page":"{more}"' if more else '"has_more":false,"next_page":null'
    return f'{{"data":[{data}],{tail}}}'
