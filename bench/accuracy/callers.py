"""Who calls: accounts that get less than their calls need, or a little more, and tokens with limits."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.utils import timezone

from accounts.models import Role
from accounts.services.access_tokens import create_access_token
from bench.accuracy.prices import INPUT_PRICE, MULTIPLIERS, OUTPUT_PRICE, price
from bench.accuracy.traffic import CUT, CUT_WORDS, LONGEST_ANSWER, MODELS, NO_JSON, WORDS, Call, Model
from billing.services import accounts, channels, prices, tokens
from tests.sandbox.server import SandboxServer

TOKENS = 2
"""Of each account: one without a limit of its own, one with."""
LOADS = (0.8, 3.0)
"""What the accounts' calls cost, as a multiple of what the accounts get: from the first to the last."""
TOP_UPS = 4
"""While it runs, of each account; as much comes by them as there is at the start."""
_LIMITED_SHARE = 0.6
"""What a token's limit allows of the cost of its calls, divided by the account's load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """A token."""

    account_id: int
    token_id: int
    key: str
    quota_limit: int | None
    multiplier: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What an account gets, in quota units, and how that compares with what its calls cost."""

    account_id: int
    load: float
    at_start: int
    later: Sequence[int]

    @property
    def total(self) -> int:
        return self.at_start + sum(self.later)


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What was set up through the product's services."""

    callers: Sequence[Caller]
    budgets: Sequence[Budget]
    access_key: str
    """Of an operator's program, for top-ups."""


def install(
    *, calls: Sequence[Call], account_count: int, sandbox: SandboxServer, scripted: Mapping[str, str]
) -> Installation:
    """Set up prices, channels, accounts and tokens in an empty database.

    :param scripted: the origins of the scripted upstreams by the models that they serve
    """
    now = timezone.now()
    root = accounts.create_user(
        actor=None, username="operator", password="a long pass phrase", role=Role.ROOT, at=now
    )
    _access, access_key = create_access_token(actor=root, user=root, name="top-ups", scopes=["topup"])
    for group, multiplier in MULTIPLIERS.items():
        prices.set_group_multiplier(actor=root, group=group, multiplier=multiplier, at=now)
    for model in MODELS:
        _connect(model, sandbox, scripted)
    for name in {name for model in MODELS for name in (model.name, *model.served_as)}:
        prices.set_model_price(
            actor=root,
            model=name,
            input_price=INPUT_PRICE,
            output_price=OUTPUT_PRICE,
            max_output_tokens=LONGEST_ANSWER,
            at=now,
        )
    callers: list[Caller] = []
    budgets: list[Budget] = []
    due = _due(calls)
    for index in range(account_count):
        low, high = LOADS
        load = low + (high - low) * (index / (account_count - 1) if account_count > 1 else 0.5)
        group = list(MULTIPLIERS)[index % len(MULTIPLIERS)]
        needs = [price(*due[index * TOKENS + number], MULTIPLIERS[group]) for number in range(TOKENS)]
        budget = round(sum(needs) / load)
        user = accounts.create_user(
            actor=None,
            username=f"caller{index}",
            password=None,
            group=group,
            quota=max(budget // 2, 1),
            at=now,
        )
        part = max(budget // 2 // TOP_UPS, 1)
        budgets.append(
            Budget(account_id=user.pk, load=load, at_start=max(budget // 2, 1), later=[part] * TOP_UPS)
        )
        for need, limit_share in zip(needs, (None, _LIMITED_SHARE / load), strict=True):
            limit = None if limit_share is None else round(need * limit_share)
            token, key = tokens.create_token(actor=user, user=user, name="accuracy", quota_limit=limit)
            callers.append(
                Caller(
                    account_id=user.pk,
                    token_id=token.pk,
                    key=key,
                    quota_limit=limit,
                    multiplier=MULTIPLIERS[group],
                )
            )
    return Installation(callers=callers, budgets=budgets, access_key=access_key)


def scripted_bodies() -> dict[str, bytes]:
    """What the scripted upstreams answer: what is no JSON, and a stream that ends before its end."""
    said = {"choices": [{"index": 0, "delta": {"content": " ".join(WORDS[:CUT_WORDS])}}]}
    return {NO_JSON.name: b"<html>Bad gateway", CUT.name: f"data: {json.dumps(said)}\n\n".encode()}


def _connect(model: Model, sandbox: SandboxServer, scripted: Mapping[str, str]) -> None:
    """One channel for each of the sandbox's models behind a name, the first one with the highest priority."""
    origin = scripted.get(model.name, sandbox.origin)
    for place, served_as in enumerate(model.served_as or (model.name,)):
        settings = channels.ChannelSettings(
            name=f"{model.name} {place}",
            base_url=origin,
            models=[model.name],
            model_mapping={} if served_as == model.name else {model.name: served_as},
            groups=list(MULTIPLIERS),
            priority=-place,
        )
        channels.create_channel(actor=None, settings=settings, key=sandbox.api_key)


def _due(calls: Sequence[Call]) -> dict[int, tuple[int, int]]:
    """Prompt and answer tokens of all calls of each caller."""
    total: dict[int, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for call in calls:
        prompt, answer = call.full_tokens
        before = total[call.caller]
        total[call.caller] = (before[0] + prompt, before[1] + answer)
    return total
