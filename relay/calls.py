"""One metered chat completion: admit, forward, settle."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from django.conf import settings

from billing.models import CallStatus, UsageSource
from billing.pricing import TokenCounts, call_quota, nano_usd_of
from billing.services.callers import Caller
from billing.services.settle import Settlement
from oneapi_admin.lib.errors import DomainError
from relay.chat import ChatRequest
from relay.metering import Metering
from relay.planning import Attempt, CallPlan
from relay.recovery import RELAY_DIED, Line, StreamSoFar
from relay.token_counts import count_prompt, count_text

_NOTHING = TokenCounts(prompt=0, completion=0)


@dataclass(slots=True)
class Outcome:
    """What a call came to; the settlement is made of it."""

    status: CallStatus = CallStatus.OK
    http_status: int = 200
    error_code: str = ""
    usage: TokenCounts | None = None
    """As the provider reported it."""
    served_text: str | None = None
    """What was served and is in no usage that the provider reported; None when nothing was."""


@dataclass(slots=True)
class Call:
    """An admitted call on its way."""

    request_id: str
    request: ChatRequest
    caller: Caller
    plan: CallPlan
    attempt: Attempt
    started: float = field(default_factory=time.monotonic)
    first_byte_ms: int = 0

    @classmethod
    async def admit(
        cls, metering: Metering, *, request_id: str, key_hash: str, client_ip: str, request: ChatRequest
    ) -> "Call":
        """Reserve the call's quota.

        :raises DomainError: the refusal
        """
        started = time.monotonic()
        caller, plan = await metering.admit(
            request_id=request_id, key_hash=key_hash, client_ip=client_ip, request=request
        )
        return cls(request_id, request, caller, plan, plan.attempts[0], started)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    @property
    def seconds_left(self) -> float:
        """What is left of the longest time that a call may take."""
        return float(settings.RELAY_CALL_SECONDS) - self.elapsed

    def note_first_byte(self) -> None:
        if not self.first_byte_ms:
            self.first_byte_ms = max(1, round(self.elapsed * 1000))

    def upstream_body(self) -> bytes:
        return self.request.upstream_body(
            served_model=self.attempt.served_model, output_limit=self.attempt.output_limit
        )

    def settlement(self, outcome: Outcome) -> Settlement:
        """Price what was served."""
        return self._settlement(outcome, *self._counts(outcome))

    def stream_so_far(self) -> StreamSoFar:
        """What to charge should this process die while it serves the stream; the prompt is not counted."""
        counts = TokenCounts(prompt=self.request.rough_prompt(self.request.model), completion=0)
        outcome = Outcome(status=CallStatus.INTERRUPTED, error_code=RELAY_DIED)
        settlement = self._settlement(outcome, counts, UsageSource.ESTIMATED)
        return StreamSoFar(
            settlement=settlement,
            price=Line.of(self.attempt.rate, counts),
            is_free=self.attempt.rate.is_free or not self.plan.multiplier,
            cost=Line.of(self.attempt.upstream_rate, counts),
            cost_multiplier=self.attempt.route.cost_multiplier,
            longest_answer=self.attempt.longest_answer,
        )

    def _settlement(self, outcome: Outcome, counts: TokenCounts, source: UsageSource) -> Settlement:
        attempt, plan = self.attempt, self.plan
        is_served = source != UsageSource.NONE
        return Settlement(
            request_id=self.request_id,
            account_id=self.caller.user_id,
            username=self.caller.username,
            token_id=self.caller.token_id,
            token_name=self.caller.token_name,
            channel_id=attempt.route.channel_id,
            channel_name=attempt.route.name,
            model=self.request.model,
            served_model=_storable(attempt.served_model, 128),
            prompt_tokens=counts.prompt,
            cached_tokens=counts.cached,
            completion_tokens=counts.completion,
            quota=call_quota(attempt.rate, counts, plan.multiplier) if is_served else 0,
            estimate=plan.estimate,
            upstream_cost=self._upstream_cost(counts) if is_served else 0,
            price_version=attempt.rate.version,
            group_multiplier=plan.multiplier,
            usage_source=source,
            status=outcome.status,
            http_status=outcome.http_status,
            error_code=_storable(outcome.error_code, 64),
            is_stream=self.request.is_stream,
            first_byte_ms=self.first_byte_ms,
            duration_ms=round(self.elapsed * 1000),
            created_at=datetime.now(tz=UTC),
        )

    def failure(self, error: DomainError) -> Settlement:
        """Nothing was served: a row that says why, and no charge."""
        return self.settlement(
            Outcome(status=CallStatus.FAILED, http_status=error.http_status, error_code=error.code)
        )

    def _upstream_cost(self, counts: TokenCounts) -> int:
        return nano_usd_of(self.attempt.upstream_rate.weight(counts), self.attempt.route.cost_multiplier)

    def _counts(self, outcome: Outcome) -> tuple[TokenCounts, UsageSource]:
        """What is charged; a reported count of 0 for what was there is made good by counting."""
        usage, text = outcome.usage or _NOTHING, outcome.served_text
        if outcome.usage is None and text is None:
            return _NOTHING, UsageSource.NONE
        if usage.prompt and not text:
            return usage, UsageSource.UPSTREAM
        counts = TokenCounts(
            prompt=usage.prompt or count_prompt(body=self.request.body),
            cached=usage.cached,
            completion=usage.completion + count_text(text or ""),
        )
        return counts, UsageSource.ESTIMATED


def _storable(text: str, length: int) -> str:
    """Anybody's text as both databases take it: no NUL, no half character, not too long."""
    text = text[:length]
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
