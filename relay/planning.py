"""Choosing channels for a call and the most it can cost."""

import random
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from threading import Lock

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing.pricing import Rate, TokenCounts, affordable_output, estimate_quota
from billing.services.callers import Caller
from billing.services.config import Config, Route, load_config
from relay.chat import ChatRequest
from relay.errors import ModelNotFoundError, ModelNotPricedError, NoChannelError

LONGEST_ANSWER = 131_072
"""Bound of an answer's tokens where neither the caller nor the price book names one."""
SHORTEST_ANSWER = 256
"""A call that names no limit is not admitted for less: nobody wants an answer of three words."""


@dataclass(slots=True, kw_only=True)
class Attempt:
    """One channel that may serve the call."""

    route: Route
    served_model: str
    rate: Rate
    upstream_rate: Rate
    output_limit: int | None
    """Sent upstream when the caller named none and can afford less than the model's longest answer."""
    longest_answer: int
    """The most tokens that the call's estimate covers, of all choices together."""


@dataclass(slots=True, kw_only=True)
class CallPlan:
    """The channels to try, best first, and the upper bound of the cost on any of them."""

    attempts: tuple[Attempt, ...]
    estimate: int
    multiplier: Decimal

    @property
    def upstream_note(self) -> str | Promise:
        if any(attempt.route.has_money for attempt in self.attempts):
            return _("The provider's account is not the cause: the channel for “%(model)s” still has money.")
        return _("The provider's account is not the cause: the channel for “%(model)s” was not even asked.")


class StaleConfigError(Exception):
    """The configuration moved on: what is cached has to be read again."""


class ConfigCache:
    """The configuration of one version, read again only when the version moved."""

    def __init__(self) -> None:
        self._config: Config | None = None
        self._lock = Lock()

    def get(self, version: int) -> Config:
        """The configuration as of this version, or a later one.

        :raises StaleConfigError: if it has to be read first
        """
        config = self._config
        if config is None or config.version < version:
            raise StaleConfigError
        return config

    def refresh(self) -> None:
        """Read it again; in a thread that may use the database, and has no transaction open."""
        with self._lock:
            self._config = load_config()


def plan_call(
    *, config: Config, caller: Caller, request: ChatRequest, affordable: int, at: datetime
) -> CallPlan:
    """Pick channels by priority and weight, and bound what the call can cost.

    :param affordable: what the caller can spend, in quota units
    :raises ModelNotFoundError: if no channel of the caller's group has the model
    :raises NoChannelError: if the channels that have it are disabled or belong to other groups
    :raises ModelNotPricedError: if nobody priced it
    """
    routes = config.routes_for(group=caller.group, model=request.model)
    if not routes:
        names = {"model": request.model, "group": caller.group}
        raise NoChannelError(**names) if request.model in config.known_models else ModelNotFoundError(**names)
    multiplier = config.multiplier(caller.group)
    attempts: list[Attempt] = []
    estimate = 0
    for route in _ordered(routes):
        served_model = route.served_model(request.model)
        rate = config.rate(model=request.model, served_model=served_model, at=at)
        if rate is None:
            continue
        prompt = request.prompt_bound(served_model)  # each served model has a tokenizer of its own
        output, limit = _output_bound(request, rate, prompt, multiplier, affordable)
        longest = output * request.choices
        counts = TokenCounts(prompt=prompt, completion=longest)
        estimate = max(estimate, estimate_quota(rate, counts, multiplier))
        upstream = config.upstream_rate(served_model=served_model, at=at, fallback=rate)
        attempts.append(
            Attempt(
                route=route,
                served_model=served_model,
                rate=rate,
                upstream_rate=upstream,
                output_limit=limit,
                longest_answer=longest,
            )
        )
        if len(attempts) == settings.RELAY_MAX_ATTEMPTS:
            break
    if not attempts:
        raise ModelNotPricedError(model=request.model)
    return CallPlan(attempts=tuple(attempts), estimate=estimate, multiplier=multiplier)


def _output_bound(
    request: ChatRequest, rate: Rate, prompt: int, multiplier: Decimal, affordable: int
) -> tuple[int, int | None]:
    """The most tokens each choice can have, and the limit to send upstream for that to hold."""
    if request.output_limit is not None:
        return min(request.output_limit, rate.max_output_tokens or request.output_limit), None
    longest = rate.max_output_tokens or LONGEST_ANSWER
    paid = affordable_output(rate, prompt_tokens=prompt, multiplier=multiplier, quota=affordable)
    if paid is None or paid // request.choices >= longest:
        return longest, None
    limit = max(paid // request.choices, min(SHORTEST_ANSWER, longest))
    return limit, limit


def _ordered(routes: list[Route]) -> list[Route]:
    """Highest priority first; within one priority a random order that follows the weights.

    Those whose provider's limit is almost reached come after all others.
    """

    if len(routes) == 1:
        return routes

    def rank(route: Route) -> tuple[bool, int, float]:
        return route.is_near_limit, -route.priority, random.expovariate(max(route.weight, 1e-6))

    return sorted(routes, key=rank)
