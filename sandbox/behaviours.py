"""The sandbox's models: some answer, each of the others fails in one way providers fail.

======================================  ==================================================================
``sandbox-echo``                        answers with the last words of the last user message
``sandbox-slow``                        the same, ``SANDBOX_SLOW_SECONDS`` later; a stream is spread over it
``sandbox-no-usage``                    the same, and never says how many tokens it took
``sandbox-drop``                        cuts the connection in the middle of the answer
``sandbox-rate-limit``                  429 ``rate_limit_exceeded`` with ``retry-after: 2``
``sandbox-insufficient-quota``          429 ``insufficient_quota``
``sandbox-spend-limit``                 400 ``billing_hard_limit_reached``
``sandbox-invalid-key``                 401 ``invalid_api_key``
``sandbox-exhausted-capacity``          429 "You have exhausted your capacity on this model. …"
``sandbox-server-error``                500
======================================  ==================================================================
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sandbox import errors


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs, in US dollars per million tokens, which is micro-dollars per token."""

    prompt: int
    completion: int

    def cost(self, *, prompt_tokens: int, completion_tokens: int) -> int:
        """Return the cost in micro-dollars."""
        return prompt_tokens * self.prompt + completion_tokens * self.completion


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How one model behaves.

    ``failure`` makes the error it always answers with; ``is_slow``, ``is_dropped`` and ``has_usage`` change
    how it answers.
    """

    price: Price = Price(prompt=1, completion=2)
    failure: Callable[[], errors.ApiError] | None = None
    is_slow: bool = False
    is_dropped: bool = False
    has_usage: bool = True


INVALID_KEY_MODEL: Final = "sandbox-invalid-key"
"""Fails before the account is looked at, as a wrong key does."""

BEHAVIOURS: Final[Mapping[str, Behaviour]] = {
    "sandbox-echo": Behaviour(),
    "sandbox-slow": Behaviour(is_slow=True),
    "sandbox-no-usage": Behaviour(has_usage=False),
    "sandbox-drop": Behaviour(is_dropped=True),
    "sandbox-rate-limit": Behaviour(failure=lambda: errors.rate_limited("sandbox-rate-limit")),
    "sandbox-insufficient-quota": Behaviour(failure=errors.insufficient_quota),
    "sandbox-spend-limit": Behaviour(failure=errors.spend_limit_reached),
    INVALID_KEY_MODEL: Behaviour(failure=lambda: errors.invalid_key("sk-revoked-key-of-the-sandbox")),
    "sandbox-exhausted-capacity": Behaviour(
        failure=lambda: errors.exhausted_capacity("sandbox-exhausted-capacity", at=datetime.now(UTC))
    ),
    "sandbox-server-error": Behaviour(failure=errors.server_error),
}
