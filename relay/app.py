"""The relay: ``/v1`` as one raw ASGI callable, outside Django's request cycle."""

import asyncio
import contextlib

import structlog
from django.conf import settings
from pyreqwest.client import Client

from billing.services.callers import check_model
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.secrets import key_digest
from relay import metrics
from relay.calls import Call
from relay.chat import parse_chat_request
from relay.errors import (
    InternalError,
    JournalUnavailableError,
    MethodNotAllowedError,
    MissingTokenError,
    ModelNotFoundError,
    NotFoundError,
    StoreUnavailableError,
    envelope,
    headers_of,
)
from relay.forward import serve_call
from relay.heartbeat import Heartbeat
from relay.http import PREFLIGHT, DisconnectedError, Receive, Request, Scope, Send
from relay.journal import Journal
from relay.metering import Metering
from relay.upstream import build_client

logger = structlog.get_logger(__name__)

_UPKEEP_EVERY_S = 5
_CREATED = 1626777600
"""The ``created`` of every model, as One API gives it: clients expect a number and read nothing into it."""


class RelayApp:
    """Create one a process, inside its event loop's ``startup``."""

    def __init__(self) -> None:
        self._metering: Metering | None = None
        self._client: Client | None = None
        self._upkeep: asyncio.Task[None] | None = None
        self._heartbeat: Heartbeat | None = None

    async def startup(self) -> None:
        self._client = build_client()
        self._start_metering()
        self._upkeep = asyncio.create_task(self._keep_up())
        self._heartbeat = Heartbeat(lambda: self._metering)

    async def shutdown(self, seconds: float) -> None:
        """Make every charge durable, then let go of the upstream connections."""
        if self._upkeep is not None:
            self._upkeep.cancel()
        if self._metering is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._metering.drain()
            await self._metering.close()
        if self._client is not None:
            await self._client.close()
        if self._heartbeat is not None:
            await self._heartbeat.close()

    def _start_metering(self) -> None:
        """Without a place on the disk for what the ledger may not take, calls are refused; pages are not."""
        try:
            self._metering = Metering(Journal(settings.JOURNAL_DIR, slots=settings.RELAY_MAX_CALLS))
        except OSError:
            logger.exception("relay.no_journal", folder=str(settings.JOURNAL_DIR))

    async def _keep_up(self) -> None:
        """Settle what processes that died have left, now and whenever one dies."""
        while True:
            if self._metering is None:
                self._start_metering()
            else:
                try:
                    metrics.RECOVERED.inc(await self._metering.recover())
                except StoreUnavailableError:
                    logger.warning("relay.recovery_waits_for_database")
                except Exception:
                    logger.exception("relay.recovery_failed")
            await asyncio.sleep(_UPKEEP_EVERY_S)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request.of(scope, receive, send)
        structlog.contextvars.bind_contextvars(request_id=request.request_id)
        try:
            await self._route(request)
        except DomainError as error:
            await _answer_error(request, error)
        except DisconnectedError:
            logger.info("relay.caller_left_before_asking")
        except Exception:
            logger.exception("relay.failed", path=request.path)
            await _answer_error(request, InternalError())

    async def _route(self, request: Request) -> None:
        path = request.path.rstrip("/")
        if request.method == "OPTIONS":
            await request.answer(204, b"", PREFLIGHT)
        elif path == "/v1/chat/completions":
            _check_method(request, "POST")
            await self._chat(request)
        elif path == "/v1/models":
            _check_method(request, "GET")
            await self._list_models(request)
        elif path.startswith("/v1/models/"):
            _check_method(request, "GET")
            await self._show_model(request)
        else:
            raise NotFoundError(method=request.method, path=request.path)

    async def _chat(self, request: Request) -> None:
        try:
            key_hash = _key_hash(request)
            chat = parse_chat_request(await request.body())
            metering, client = self._parts()
            call = await Call.admit(
                metering,
                request_id=request.request_id,
                key_hash=key_hash,
                client_ip=request.client_ip,
                request=chat,
            )
        except DomainError as error:
            metrics.note_refusal(error)
            raise
        metrics.ADMITTED.inc()
        await serve_call(call=call, request=request, client=client, metering=metering)

    async def _list_models(self, request: Request) -> None:
        models = await self._models(request)
        await request.answer_json(200, {"object": "list", "data": [_model(name) for name in sorted(models)]})

    async def _show_model(self, request: Request) -> None:
        name = request.path.removeprefix("/v1/models/").rstrip("/")
        if name not in await self._models(request, name):
            raise ModelNotFoundError(model=name, group="")
        await request.answer_json(200, _model(name))

    async def _models(self, request: Request, asked: str = "") -> set[str]:
        """What the token can call; asking for a model it may not use says so."""
        metering, _client = self._parts()
        caller, config = await metering.identify(key_hash=_key_hash(request), client_ip=request.client_ip)
        models = config.models_for(group=caller.group)
        if asked in models:
            check_model(caller=caller, model=asked)
        return models & set(caller.allowed_models) if caller.allowed_models else models

    def _parts(self) -> tuple[Metering, Client]:
        if self._client is None:
            raise RuntimeError("the relay was not started: the server has to speak ASGI's lifespan protocol")
        if self._metering is None:
            raise JournalUnavailableError
        return self._metering, self._client


def _check_method(request: Request, allowed: str) -> None:
    if request.method != allowed:
        raise MethodNotAllowedError(method=request.method, allowed=allowed)


def _key_hash(request: Request) -> str:
    key = request.bearer_key
    if not key:
        raise MissingTokenError
    return key_digest(key)


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "oneapi-admin"}


async def _answer_error(request: Request, error: DomainError) -> None:
    if request.has_started:  # the head said 200 already: all that is left is to end here
        return
    body = envelope(error, request_id=request.request_id, accept_language=request.accept_language)
    await request.answer_json(error.http_status, body, headers_of(error))
