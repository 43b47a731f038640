"""Makes what tests need through the product's own services."""

import itertools
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from accounts.models import Role, Token, User
from billing.models import (
    BalancePoll,
    BalanceSnapshot,
    CallStatus,
    Channel,
    QuotaAccount,
    UsageSource,
    Webhook,
    WebhookEvent,
)
from billing.services import accounts, channels, holds, prices, tokens, webhooks
from billing.services.settle import Settlement
from redemption.models import CodeBatch
from redemption.services import batches, making, sealed

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
_numbers = itertools.count(1)


def make_user(*, balance: int = 0, role: str = Role.USER, **fields: Any) -> User:
    number = next(_numbers)
    defaults = {
        "username": f"user{number}",
        "password": "a long pass phrase",
        "email": f"user{number}@example.com",
    }
    user: User = accounts.create_user(actor=None, at=NOON, quota=balance, role=role, **{**defaults, **fields})
    return user


def make_root(**fields: Any) -> User:
    return make_user(role=Role.ROOT, **{"username": f"root{next(_numbers)}", **fields})


def make_admin(**fields: Any) -> User:
    return make_user(role=Role.ADMIN, **fields)


@dataclass(frozen=True)
class MadeToken:
    token: Token
    key: str

    @property
    def key_hash(self) -> str:
        return self.token.key_hash


@dataclass(frozen=True)
class MadeWebhook:
    webhook: Webhook
    secret: str


def make_token(user: User, **fields: Any) -> MadeToken:
    token, key = tokens.create_token(actor=user, user=user, **{"name": "a token", **fields})
    return MadeToken(token=token, key=key)


def make_channel(**fields: Any) -> Channel:
    key = fields.pop("key", "sk-upstream-secret-0001")
    settings = {"name": "upstream", "base_url": "http://127.0.0.1:9", "models": ["test-model"], **fields}
    return channels.create_channel(actor=None, settings=channels.ChannelSettings(**settings), key=key)


def make_snapshot(**fields: Any) -> BalanceSnapshot:
    """What a provider told, as the last word of its kind and currency."""
    snapshot = BalanceSnapshot.objects.create(**{"kind": "balance", "created_at": NOON, **fields})
    poll = BalancePoll.objects.get(pk=snapshot.channel_id)
    told = BalanceSnapshot.objects.filter(pk__in=poll.told)
    others = told.exclude(kind=snapshot.kind, currency=snapshot.currency).values_list("pk", flat=True)
    poll.told = [*others, snapshot.pk]
    poll.save(update_fields=["told"])
    return snapshot


def make_request_price(model: str = "test-model", usd: str = "0.00002") -> None:
    """Price a model per request; the default is 10 quota units."""
    prices.set_model_price(actor=None, model=model, request_price=Decimal(usd), at=NOON)


def make_token_price(model: str = "test-model", *, input: str = "1", output: str = "2", **more: Any) -> None:  # noqa: A002
    prices.set_model_price(
        actor=None, model=model, input_price=Decimal(input), output_price=Decimal(output), at=NOON, **more
    )


@dataclass(frozen=True)
class FlatPlan:
    estimate: int
    upstream_note: str = "The channel for “%(model)s” still has money."


def admit_request(made: MadeToken, *, estimate: int = 100, **fields: Any) -> holds.AdmitRequest:
    defaults = {
        "request_id": f"request-{next(_numbers)}",
        "key_hash": made.key_hash,
        "client_ip": "192.0.2.1",
        "model": "test-model",
        "plan": lambda _caller, _affordable, _version: FlatPlan(estimate),
        "expires_at": NOON + timedelta(minutes=10),
    }
    return holds.AdmitRequest(**{**defaults, **fields})


def settlement(made: MadeToken, channel: Channel, *, quota: int, **fields: Any) -> Settlement:
    """A finished call; ``request_id`` joins it to its hold."""
    defaults = {
        "request_id": f"request-{next(_numbers)}",
        "account_id": made.token.user_id,
        "username": made.token.user.username,
        "token_id": made.token.pk,
        "token_name": made.token.name,
        "channel_id": channel.pk,
        "channel_name": channel.name,
        "model": "test-model",
        "served_model": "test-model",
        "prompt_tokens": 10,
        "cached_tokens": 0,
        "completion_tokens": 5,
        "quota": quota,
        "estimate": quota,
        "upstream_cost": quota * 2000,
        "price_version": "operator:1",
        "group_multiplier": Decimal(1),
        "usage_source": UsageSource.UPSTREAM,
        "status": CallStatus.OK,
        "http_status": 200,
        "error_code": "",
        "is_stream": False,
        "first_byte_ms": 3,
        "duration_ms": 5,
        "created_at": NOON,
    }
    return Settlement(**{**defaults, **fields})


def account_of(user: User) -> QuotaAccount:
    return QuotaAccount.objects.get(user=user)


def balance_of(user: User) -> int:
    return account_of(user).balance


def make_webhook(url: str = "http://127.0.0.1:9/hooks", **fields: Any) -> MadeWebhook:
    """A webhook for every event unless told otherwise."""
    settings = {"name": "the shop", "url": url, "events": WebhookEvent.values, **fields}
    webhook, secret = webhooks.create_webhook(
        actor=None, settings=webhooks.WebhookSettings(**settings), at=NOON
    )
    return MadeWebhook(webhook=webhook, secret=secret)


def make_batch(actor: User | None = None, *, at: datetime = NOON, **terms: Any) -> CodeBatch:
    """A batch with its codes, three of 500 quota units unless told otherwise."""
    asked = batches.BatchTerms(**{"name": "spring", "quota": 500, "count": 3, **terms})
    batch = batches.create_batch(actor=actor or make_admin(), terms=asked, at=at)
    assert making.make_codes(batch=batch, at=at)
    batch.refresh_from_db()
    return batch


def codes_in_clear(batch: CodeBatch) -> list[str]:
    """The codes of a batch that was just made, in the order of its export."""
    return list(sealed.open_codes(actor=None, batch=batch, how="test", at=batch.ready_at))


def make_codes(actor: User | None = None, **terms: Any) -> list[str]:
    return codes_in_clear(make_batch(actor, **terms))


def make_code(**terms: Any) -> str:
    return make_codes(count=1, **terms)[0]
