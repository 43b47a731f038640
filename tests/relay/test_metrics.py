"""What a relay process counts of its calls, as ``/metrics`` tells it."""

import urllib.request
from collections.abc import Callable

import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families

from billing.models import Channel
from tests.factories import MadeToken, make_channel, make_token, make_token_price, make_user
from tests.relay.scripted import scripted_upstream
from tests.support.processes import WebProcess

Client = Callable[[MadeToken], openai.OpenAI]
MESSAGES = [{"role": "user", "content": "hi"}]
pytestmark = pytest.mark.django_db(transaction=True)


def counted(web: WebProcess) -> dict[tuple[str, ...], float]:
    """The process's own samples by their names and what their labels say."""
    with urllib.request.urlopen(f"{web.origin}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    own = {"pid": str(web.process.pid)}
    return {
        (
            sample.name.removeprefix("oneapi_relay_"),
            *dict(sample.labels.items() - own.items()).values(),
        ): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if own.items() <= sample.labels.items() and sample.name.startswith("oneapi_relay_")
    }


def grown(before: dict[tuple[str, ...], float], after: dict[tuple[str, ...], float]) -> dict[str, float]:
    """By how much each counter did, by its name and label."""
    return {
        " ".join(key): value - before.get(key, 0)
        for key, value in after.items()
        if key[0].endswith("_total") and value != before.get(key, 0)
    }


def test_calls_are_counted_by_what_became_of_them(
    channel: Channel, web: WebProcess, client_of: Client
) -> None:
    client = client_of(make_token(make_user(balance=50_000)))
    before = counted(web)

    client.chat.completions.create(model="sandbox-echo", messages=MESSAGES)
    list(client.chat.completions.create(model="sandbox-echo", messages=MESSAGES, stream=True))
    with pytest.raises(openai.APIStatusError):
        client.chat.completions.create(model="sandbox-server-error", messages=MESSAGES)
    with pytest.raises(openai.APIError):
        list(client.chat.completions.create(model="sandbox-drop", messages=MESSAGES, stream=True))
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="no-such-model", messages=MESSAGES)
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-nobody").chat.completions.create(
            model="sandbox-echo", messages=MESSAGES
        )

    after = counted(web)
    assert grown(before, after) == {
        "calls_admitted_total": 4,
        "calls_refused_total model_not_found": 1,
        "calls_refused_total invalid_api_key": 1,
        "calls_settled_total ok": 2,
        "calls_settled_total failed": 1,
        "calls_settled_total interrupted": 1,
        "upstream_failures_total upstream_error": 2,
    }
    assert after["commit_seconds_count",] - before.get(("commit_seconds_count",), 0) >= 8
    assert after["last_commit_timestamp_seconds",] > before["last_commit_timestamp_seconds",]
    assert (after["calls_in_flight",], after["journal_slots_used",]) == (0, 0)


def test_codes_that_providers_make_up_are_counted_as_one(
    transactional_db: None, web: WebProcess, client_of: Client
) -> None:
    make_token_price("m")
    client = client_of(make_token(make_user(balance=50_000)))
    body = b'{"error": {"message": "no", "code": "made_up_by_the_provider"}}'
    before = counted(web)

    with scripted_upstream(status=400, body=body) as origin:
        make_channel(base_url=origin, models=["m"])
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(model="m", messages=MESSAGES)

    assert refused.value.code == "made_up_by_the_provider"
    assert grown(before, counted(web))["upstream_failures_total upstream_rejected"] == 1
