"""Settling the calls of relay processes that died, from the journals they left."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import structlog

from billing.pricing import Rate, TokenCounts, nano_usd_of, quota_of
from billing.services import holds
from billing.services.settle import Settlement
from relay.errors import StoreUnavailableError
from relay.journal import SUFFIX, KeptCall, abandoned

logger = structlog.get_logger(__name__)

RELAY_DIED = "relay_died"
"""The error code of a stream whose relay process died while it was served."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A price once the prompt is known: a weight for it, and one for each token of the answer."""

    prompt: int
    token: int

    @classmethod
    def of(cls, rate: Rate, counts: TokenCounts) -> "Line":
        prompt = rate.weight(counts)
        return cls(prompt=prompt, token=rate.weight(replace(counts, completion=1)) - prompt)

    def weight(self, tokens: int) -> int:
        return self.prompt + tokens * self.token


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSoFar:
    """What a stream is charged should its process die: its prompt and as many tokens as were served."""

    settlement: Settlement
    price: Line
    is_free: bool
    cost: Line
    cost_multiplier: Decimal
    longest_answer: int
    """The most tokens that the call's hold covers: what we only count roughly never costs more than it."""

    def to_record(self) -> dict[str, Any]:
        return {
            "settlement": self.settlement.to_record(),
            "price": asdict(self.price),
            "is_free": self.is_free,
            "cost": asdict(self.cost),
            "cost_multiplier": str(self.cost_multiplier),
            "longest_answer": self.longest_answer,
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any]) -> "StreamSoFar":
        return cls(
            settlement=Settlement.of_record(record["settlement"]),
            price=Line(**record["price"]),
            is_free=record["is_free"],
            cost=Line(**record["cost"]),
            cost_multiplier=Decimal(record["cost_multiplier"]),
            longest_answer=record["longest_answer"],
        )

    def after(self, tokens: int) -> Settlement:
        """The charge after about so many tokens."""
        tokens = min(tokens, self.longest_answer)
        quota = quota_of(self.price.weight(tokens), self.settlement.group_multiplier)
        return replace(
            self.settlement,
            completion_tokens=tokens,
            quota=quota if self.is_free else max(quota, 1),
            upstream_cost=nano_usd_of(self.cost.weight(tokens), self.cost_multiplier),
        )


def recover(
    folder: Path, settle: Callable[[Sequence[Settlement]], Sequence[object]], *, batch_size: int
) -> int:
    """Charge or give back every call that dead processes left in a folder; safe to do twice, and at once.

    :param settle: charges calls, each once however often it is handed in; one that it cannot charge because
        the database is away comes back as ``StoreUnavailableError``
    :returns: how many calls were dealt with
    """
    count = 0
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        with abandoned(path) as kept:
            if kept is not None:
                _recover_file(kept, settle, batch_size)
                count += len(kept)
                logger.warning("relay.calls_recovered", file=path.name, calls=len(kept))
    return count


def _recover_file(
    kept: Sequence[KeptCall], settle: Callable[[Sequence[Settlement]], Sequence[object]], batch_size: int
) -> None:
    """
    :raises StoreUnavailableError: if the database is away
    """
    charges = sorted(_charges(kept), key=lambda charge: charge.created_at)
    for at in range(0, len(charges), batch_size):
        for result in settle(charges[at : at + batch_size]):
            if isinstance(result, StoreUnavailableError):
                raise result
    served = {charge.request_id for charge in charges}
    unserved = [call.request_id for call in kept if call.request_id not in served]
    if unserved:
        holds.release(request_ids=unserved)


def _charges(kept: Sequence[KeptCall]) -> Iterator[Settlement]:
    for call in kept:
        if call.served is not None:
            yield Settlement.of_record(call.served)
        elif call.serving is not None and call.progress:
            yield StreamSoFar.of_record(call.serving).after(call.progress)
