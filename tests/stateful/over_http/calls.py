"""Calls of ``/v1``: answers at once, streams, providers that fail, callers who leave."""

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from billing.models import UsageRecord
from tests.stateful import comparing
from tests.stateful.callers import OpenCall, Told
from tests.stateful.gated_upstream import MODEL as GATED
from tests.stateful.model.rows import Begun, Ended, RefusalError, outcome_of
from tests.stateful.over_http.base import Flight, HttpBase, Pick, numbers
from tests.support.waiting import wait_until

MESSAGES = [{"role": "user", "content": "hi"}]
PROMPT_BOUND = 4 + 2 + 8 + 16
"""Of the messages: the bytes of role and content, and what a chat format adds at most."""
PROMPT_OF_SANDBOX = 5
PROMPT_COUNTED = 6
"""By the relay, where the provider reports nothing."""

Tokens = st.integers(1, 100)


class CallRules(HttpBase):
    @rule(token=Pick, limit=Tokens, length=Tokens, is_stream=st.booleans())
    @precondition(lambda self: self.ledger.tokens)
    def call(self, token: int, limit: int, length: int, is_stream: bool) -> None:
        body = self._body("sandbox-echo", limit, sandbox={"completion_tokens": length}, stream=is_stream)
        self._call(token, body, cost=_cost(PROMPT_OF_SANDBOX, min(limit, length)))

    @rule(token=Pick, beyond=st.integers(-1, 1))
    @precondition(lambda self: self.ledger.tokens)
    def call_for_about_all_there_is(self, token: int, beyond: int) -> None:
        _pk, known = self._any_token(token)
        available = self.ledger.accounts[known.account_id].available
        affordable = available if known.left is None else min(available, known.left)
        limit = max(1, (affordable - PROMPT_BOUND) // 2 + beyond)
        body = self._body("sandbox-echo", limit, sandbox={"completion_tokens": limit})
        self._call(token, body, cost=_cost(PROMPT_OF_SANDBOX, limit))

    @rule(token=Pick, limit=Tokens, model=st.sampled_from(["sandbox-server-error", "sandbox-drop"]))
    @precondition(lambda self: self.ledger.tokens)
    def call_a_provider_that_fails(self, token: int, limit: int, model: str) -> None:
        self._call(token, self._body(model, limit), cost=0, refusal="upstream_error")

    @rule(token=Pick, limit=Tokens)
    @precondition(lambda self: self.ledger.tokens)
    def call_with_a_key_that_is_no_more(self, token: int, limit: int) -> None:
        pk, _known = self._any_token(token)
        body = self._body("sandbox-echo", limit)
        self._admitted(self.old_keys.get(pk, "sk-nobody's"), body)

    @rule(token=Pick, limit=Tokens)
    @precondition(lambda self: self.ledger.tokens and len(self.flights) < 4)
    def open_a_stream(self, token: int, limit: int) -> None:
        pk, known = self._any_token(token)
        gate = f"gate-{next(numbers)}"
        call = self._admitted(known.key, self._body(GATED, limit, user=gate, stream=True))
        if call is not None:
            call.read_an_event()
            self.flights.append(Flight(call, gate, known.account_id, pk))

    @rule(flight=Pick, prompt=Tokens, completion=st.integers(1, 200))
    @precondition(lambda self: self.flights)
    def finish_a_stream(self, flight: int, prompt: int, completion: int) -> None:
        """What the provider reports may be more than anybody expected."""
        ending = self._land(flight)
        self.site.upstream.finish(ending.gate, prompt_tokens=prompt, completion_tokens=completion)
        self._charged(ending, ending.call.finish(), _cost(prompt, completion))

    @rule(flight=Pick)
    @precondition(lambda self: self.flights)
    def cut_a_stream(self, flight: int) -> None:
        ending = self._land(flight)
        self.site.upstream.cut(ending.gate)
        told = ending.call.finish()
        assert not told.is_whole
        self._charged(ending, told, _cost(PROMPT_COUNTED, 1))

    @rule(flight=Pick)
    @precondition(lambda self: self.flights)
    def leave_a_stream(self, flight: int) -> None:
        ending = self._land(flight)
        self._leave(ending)
        self._charged(ending, None, _cost(PROMPT_COUNTED, 1))

    def teardown(self) -> None:
        try:
            comparing.check(self.ledger)
            comparing.audit()
        finally:
            for flight in self.flights:
                self._leave(flight)

    def _body(self, model: str, limit: int, **more: Any) -> dict[str, Any]:
        return {"model": model, "messages": MESSAGES, "max_tokens": limit, **more}

    def _call(self, pick: int, body: dict[str, Any], *, cost: int, refusal: str = "") -> None:
        pk, known = self._any_token(pick)
        call = self._admitted(known.key, body, refusal=refusal)
        if call is not None:
            told = call.finish()
            assert told.code == refusal
            self._charged(Flight(call, "", known.account_id, pk), told, cost)

    def _admitted(self, key: str, body: dict[str, Any], refusal: str = "") -> OpenCall | None:
        """The call, if it was admitted as it should be; else None, and it was refused as it should be.

        :param refusal: what the provider's failure is called, if it fails
        """
        call = OpenCall(self.site.web.port, key, body)
        estimate = _cost(PROMPT_BOUND, body["max_tokens"])
        now = datetime.now(UTC)
        begun = Begun(call.request_id, key, lambda _affordable: estimate, now)
        expected = outcome_of(lambda: self.ledger.admit(begun, now))
        if isinstance(expected, RefusalError):
            told = call.finish()
            assert (told.code, told.numbers or {}) == (expected.code, expected.numbers)
            return None
        assert call.is_admitted or refusal, call.finish()
        return call

    def _land(self, pick: int) -> Flight:
        return self.flights.pop(pick % len(self.flights))

    def _charged(self, flight: Flight, told: Told | None, cost: int) -> None:
        ended = Ended(flight.call.request_id, flight.account_id, flight.token_id, cost)
        [figures], _decided = self.ledger.commit([ended], [], datetime.now(UTC))
        if told is not None and not told.code:
            assert (told.charged, told.remaining) == figures

    def _leave(self, flight: Flight) -> None:
        flight.call.leave()
        wait_until(UsageRecord.objects.filter(request_id=flight.call.request_id).exists)
        self.site.upstream.cut(flight.gate)


def _cost(prompt: int, completion: int) -> int:
    return prompt + 2 * completion
