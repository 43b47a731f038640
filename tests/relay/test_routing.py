"""Which channel serves a call, and what happens when it cannot."""

from decimal import Decimal

import openai
import pytest

from billing.models import UsageRecord
from billing.services import channels, prices
from billing.services.channels import ChannelSettings
from tests.factories import NOON, balance_of, make_channel, make_token, make_token_price, make_user
from tests.relay.scripted import scripted_upstream

pytestmark = pytest.mark.django_db(transaction=True)
MESSAGES = [{"role": "user", "content": "one two three"}]


def test_a_channel_that_cannot_be_reached_or_has_no_money_is_passed_over(channel, client_of, sandbox) -> None:
    make_channel(name="dead", base_url="http://127.0.0.1:9", models=["sandbox-echo"], priority=9)
    broke = {"sandbox-echo": "sandbox-insufficient-quota"}
    make_channel(
        name="broke",
        base_url=sandbox.origin,
        key=sandbox.api_key,
        models=["sandbox-echo"],
        model_mapping=broke,
        priority=5,
    )

    answer = client_of(make_token(make_user(balance=5_000))).chat.completions.create(
        model="sandbox-echo", messages=MESSAGES
    )

    assert answer.choices[0].message.content == "one two three"
    assert UsageRecord.objects.get().channel_name == "sandbox"


def test_a_call_that_is_too_large_for_one_account_is_served_by_another(channel, client_of) -> None:
    body = b'{"error": {"message": "Request too large: Limit 6000", "code": "rate_limit_exceeded"}}'

    with scripted_upstream(status=413, body=body) as origin:
        make_channel(name="small", base_url=origin, models=["sandbox-echo"], priority=9)
        client_of(make_token(make_user(balance=5_000))).chat.completions.create(
            model="sandbox-echo", messages=MESSAGES
        )

    assert UsageRecord.objects.get().channel_name == "sandbox"


def test_a_mapped_model_is_asked_for_by_its_other_name_and_charged_at_its_price(
    channel, client_of, sandbox
) -> None:
    make_token_price("cheap", input="0", output="0")
    make_channel(
        name="mapped",
        base_url=sandbox.origin,
        key=sandbox.api_key,
        models=["cheap"],
        model_mapping={"cheap": "sandbox-echo"},
    )
    user = make_user(balance=5_000)

    client_of(make_token(user)).chat.completions.create(model="cheap", messages=MESSAGES)

    record = UsageRecord.objects.get()
    assert (record.model, record.served_model) == ("cheap", "sandbox-echo")
    assert 0 < record.quota == 5_000 - balance_of(user)


def test_changes_by_operators_take_effect_with_the_next_call(channel, client_of) -> None:
    user = make_user(balance=50_000)
    client = client_of(make_token(user))

    def quota_of_a_call() -> int:
        client.chat.completions.create(model="sandbox-echo", messages=MESSAGES)
        return UsageRecord.objects.latest("pk").quota

    before = quota_of_a_call()
    prices.set_group_multiplier(actor=None, group="default", multiplier=Decimal(10), at=NOON)
    dearer = quota_of_a_call()
    prices.set_model_price(actor=None, model="sandbox-echo", request_price=Decimal("0.001"), at=NOON)
    per_request = quota_of_a_call()
    channels.set_channel_status(actor=None, channel=channel, is_enabled=False)

    assert before * 9 < dearer <= before * 10
    assert per_request == 5_000
    with pytest.raises(openai.InternalServerError, match="No channel"):
        quota_of_a_call()


def test_a_free_model_is_served_to_an_empty_account(channel, client_of, sandbox) -> None:
    make_token_price("sandbox-echo", input="0", output="0")
    user = make_user()

    client_of(make_token(user)).chat.completions.create(model="sandbox-echo", messages=MESSAGES)

    assert UsageRecord.objects.get().quota == 0
    assert balance_of(user) == 0


def test_the_limit_that_a_poor_caller_can_afford_is_sent_upstream(channel, client_of, sandbox) -> None:
    client_of(make_token(make_user(balance=600))).chat.completions.create(
        model="sandbox-echo", messages=MESSAGES
    )

    sent = sandbox.requests()["recent"][-1]["max_tokens"]
    assert 256 <= sent < 600


def test_a_stored_key_is_not_sent_to_another_address_without_being_entered_again(channel) -> None:
    from django.core.exceptions import ValidationError

    moved = ChannelSettings(name="x", base_url="http://192.0.2.7:81", models=["m"])

    with pytest.raises(ValidationError, match="key"):
        channels.update_channel(actor=None, channel=channel, settings=moved)
