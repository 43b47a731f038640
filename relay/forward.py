"""Serving an admitted call: pick the channel that answers, pass the answer on, settle it."""

import asyncio
import json

import structlog
from pyreqwest.client import Client
from pyreqwest.exceptions import RequestError

from billing.models import CallStatus
from billing.services.settle import Settled, Settlement
from relay import metrics
from relay.calls import Call, Outcome
from relay.errors import InternalError, UpstreamFailedError, UpstreamTimeoutError, dump, envelope
from relay.group_commit import wait_for
from relay.http import Headers, Request
from relay.metering import Metering
from relay.sse import DONE, EventFilter, answer_texts
from relay.upstream import OpenCall, UpstreamError, error_in, open_call, transport_error
from relay.usage import read_usage

logger = structlog.get_logger(__name__)

_SETTLE_SECONDS = 10
"""How long an answer waits for the ledger; then the journal has its charge, and it goes without figures."""
_STREAM_HEADERS: Headers = [(b"cache-control", b"no-cache")]
_AT_ONCE = 0.0
"""A time on the loop's clock that is over."""


async def serve_call(*, call: Call, request: Request, client: Client, metering: Metering) -> None:
    """Forward the call and answer it. Whatever happens, the call is settled.

    :raises DomainError: if nothing was served; the failure has been recorded, nothing was charged
    """
    try:
        opened, answer = await _open_first(call, client, metering)
    except UpstreamError as failed:
        metrics.note_upstream_failure(failed.error)
        await _settled(metering, call, call.failure(failed.error))
        raise failed.error from failed
    except asyncio.CancelledError:
        metering.settle(call.settlement(Outcome(status=CallStatus.FAILED, error_code="cancelled")))
        raise
    except Exception:  # nobody foresaw it, and nothing was served: the hold goes back at once
        await _settled(metering, call, call.failure(InternalError()))
        raise
    if answer is None:
        await _Stream(call, request, metering, opened).run()
    else:
        await _answer_json(call, request, metering, *answer)


async def _open_first(
    call: Call, client: Client, metering: Metering
) -> tuple[OpenCall, tuple[bytes, Settlement] | None]:
    """Try the planned channels in their order; only before anything was served can another one do better.

    :returns: the open stream and None, or the call that is closed and its whole answer
    """
    for attempt in call.plan.attempts:
        call.attempt = attempt
        try:
            return await _answer_of(call, client)
        except UpstreamError as failed:
            logger.warning(
                "relay.channel_failed",
                request_id=call.request_id,
                channel_id=attempt.route.channel_id,
                code=failed.error.code,
                reason=str(failed.error.context.get("reason", "")),
                rule=failed.diagnosis.matched.rule if failed.diagnosis else "",
            )
            if failed.is_out_of_money:
                metering.ask_for_balance(attempt.route.channel_id)
            if not failed.may_fail_over or attempt is call.plan.attempts[-1]:
                raise
            metrics.note_upstream_failure(failed.error)
    raise AssertionError("a plan has at least one attempt")


async def _answer_of(call: Call, client: Client) -> tuple[OpenCall, tuple[bytes, Settlement] | None]:
    opened = await open_call(client, call.attempt, call.upstream_body(), call.seconds_left)
    if not call.request.is_stream:
        return opened, await _read_json(call, opened)
    try:
        failed = await _error_ahead(call, opened)
    except BaseException:
        await opened.close()
        raise
    if failed is not None:
        await opened.close()
        raise failed
    return opened, None


async def _error_ahead(call: Call, opened: OpenCall) -> UpstreamError | None:
    """The error in an answer of JSON to a call that asked for a stream, before any of it is served."""
    try:
        raw = await opened.read_json_ahead()
    except RequestError as exc:
        error = transport_error(exc, call.attempt.served_model).error
        return UpstreamError(error=error, may_fail_over=False)
    if not raw or _has_choices(raw):
        return None
    failed = error_in(raw, opened.response, call.attempt)
    return failed if failed.diagnosis is not None else None


def _has_choices(raw: bytes) -> bool:
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return isinstance(parsed, dict) and bool(parsed.get("choices"))


async def _read_json(call: Call, opened: OpenCall) -> tuple[bytes, Settlement]:
    """The whole answer, which has to be a completion before anybody pays for it, and its charge."""
    model = call.attempt.served_model
    try:
        raw = bytes(await opened.response.bytes())
        parsed = json.loads(raw)
    except RequestError as exc:
        error = transport_error(exc, model).error
        raise UpstreamError(error=error, may_fail_over=False) from exc  # the provider has done its work
    except (ValueError, RecursionError) as exc:
        error = UpstreamFailedError(model=model, reason="not JSON")
        raise UpstreamError(error=error, may_fail_over=False) from exc
    finally:
        await opened.close()
    if not isinstance(parsed, dict) or not isinstance(parsed.get("choices"), list):
        raise error_in(raw, opened.response, call.attempt)
    if not parsed["choices"] and (failed := error_in(raw, opened.response, call.attempt)).diagnosis:
        raise failed
    call.note_first_byte()
    outcome = Outcome(usage=read_usage(parsed.get("usage")))
    if outcome.usage is None or not outcome.usage.completion:
        messages = (choice.get("message") for choice in parsed["choices"] if isinstance(choice, dict))
        outcome.served_text = "".join(text for message in messages for text in answer_texts(message))
    return raw, call.settlement(outcome)


async def _answer_json(
    call: Call, request: Request, metering: Metering, raw: bytes, settlement: Settlement
) -> None:
    settled = await _settled(metering, call, settlement)
    await request.answer(200, raw, _charge_headers(settled))


class _Stream:
    """A stream on its way to the caller."""

    def __init__(self, call: Call, request: Request, metering: Metering, opened: OpenCall) -> None:
        self._call = call
        self._request = request
        self._metering = metering
        self._opened = opened
        self._filter = EventFilter(wants_usage=call.request.wants_usage)
        self._has_left = False
        self._is_writing = False

    async def run(self) -> None:
        outcome = Outcome()
        try:
            await self._pass_on(outcome)
        except asyncio.CancelledError:  # the drain time is over: charge what was served, then go
            outcome.status, outcome.error_code = CallStatus.INTERRUPTED, "cancelled"
            self._settle_served(outcome)
            raise
        except Exception:  # nobody foresaw it: what was served is charged all the same
            outcome.status, outcome.error_code = CallStatus.INTERRUPTED, InternalError.code
            self._settle_served(outcome)
            raise
        finally:
            await self._opened.close()
        if outcome.error_code:
            metrics.UPSTREAM_FAILURES.labels(outcome.error_code).inc()
        settled = await _settled(self._metering, self._call, self._settlement(outcome))
        if outcome.status != CallStatus.DISCONNECTED:
            await self._finish(outcome, settled)

    async def _pass_on(self, outcome: Outcome) -> None:
        """Write what is read until the stream ends, the caller leaves or the call's time is over."""
        try:
            async with asyncio.timeout(self._call.seconds_left) as time_left:
                leaving = asyncio.create_task(self._stop_when_caller_leaves(time_left))
                try:
                    await self._copy()
                finally:
                    leaving.cancel()
        except RequestError as exc:
            error = transport_error(exc, self._call.attempt.served_model).error
            outcome.status, outcome.error_code = CallStatus.INTERRUPTED, error.code
        except TimeoutError:
            if self._has_left or self._is_writing:  # who stopped reading without leaving is as good as gone
                outcome.status = CallStatus.DISCONNECTED
            else:
                outcome.status, outcome.error_code = CallStatus.INTERRUPTED, UpstreamTimeoutError.code
        else:
            if self._filter.has_error or (self._filter.usage is None and not self._filter.is_done):
                outcome.status, outcome.error_code = CallStatus.INTERRUPTED, "upstream_error"

    async def _stop_when_caller_leaves(self, time_left: asyncio.Timeout) -> None:
        await self._request.wait_for_disconnect()
        self._has_left = True
        if not time_left.expired():
            time_left.reschedule(_AT_ONCE)

    async def _copy(self) -> None:
        self._metering.begin_stream(self._call.request_id, self._call.stream_so_far())
        await self._request.start(200, b"text/event-stream; charset=utf-8", _STREAM_HEADERS)
        while not self._filter.is_done:
            chunk = await self._opened.read_chunk()
            _stop_if_cancelled()
            if chunk is None:
                await self._write(self._filter.finish())
                return
            await self._write(self._filter.feed(chunk))

    async def _write(self, data: bytes) -> None:
        if data:
            self._call.note_first_byte()
            self._is_writing = True
            self._metering.note_served(self._call.request_id, self._filter.rough_tokens)
            await self._request.write(data, more=True)
            self._is_writing = False

    def _settlement(self, outcome: Outcome) -> Settlement:
        outcome.usage = self._filter.usage
        outcome.served_text = self._filter.unreported_text() or None
        if outcome.served_text is None and outcome.status in (CallStatus.OK, CallStatus.DISCONNECTED):
            outcome.served_text = ""  # the provider worked on the prompt
        return self._call.settlement(outcome)

    def _settle_served(self, outcome: Outcome) -> None:
        self._metering.settle(self._settlement(outcome))

    async def _finish(self, outcome: Outcome, settled: Settled | None) -> None:
        """Say what the call cost, then end the stream as it deserves."""
        end = b""
        if settled is not None:
            end += f": X-Quota-Charged: {settled.quota}, X-Quota-Remaining: {settled.available}\n\n".encode()
        if outcome.status == CallStatus.OK:
            end += DONE
        elif not self._filter.has_error:
            error = UpstreamFailedError(model=self._call.attempt.served_model, reason="the stream was cut")
            error.language = self._call.caller.language
            request = self._request
            body = envelope(error, request_id=request.request_id, accept_language=request.accept_language)
            end += b"data: " + dump(body) + b"\n\n"
        await self._request.write(end, more=False)


def _stop_if_cancelled() -> None:
    """Be cancelled after all: a read for which something is there when it is cancelled returns that instead.

    Else a stream might outlive the drain time, its own time, or its caller.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _settled(metering: Metering, call: Call, settlement: Settlement) -> Settled | None:
    """Wait for the charge to be durable: in the ledger or, when that takes too long, in the journal."""
    settling = metering.settle(settlement)
    await wait_for(settling, _SETTLE_SECONDS)
    if not settling.done():
        logger.warning("relay.answered_before_settled", request_id=call.request_id)
        await metering.keep(settlement)
        return None
    if settling.exception() is not None:  # logged with the whole settlement where it happened
        logger.warning("relay.answered_unsettled", request_id=call.request_id)
        return None
    return settling.result()


def _charge_headers(settled: Settled | None) -> Headers:
    if settled is None:
        return []
    return [
        (b"x-quota-charged", str(settled.quota).encode()),
        (b"x-quota-remaining", str(settled.available).encode()),
    ]
