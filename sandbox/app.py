"""The sandbox as an ASGI application: routes, keys, and how an answer is sent.

A raw ASGI callable, because it is also the upstream of the benchmarks and must not be what they measure.

============================================  ==============================================================
``GET /healthz``                              200 as soon as it serves; the only path without a key
``GET /v1/models``, ``/v1/models/{id}``       the models of :mod:`sandbox.behaviours`
``POST /v1/chat/completions``                 JSON, or an event stream with ``"stream": true``
``GET [/v1]/dashboard/billing/subscription``  as a One API site tells it: remaining + used, in dollars
``GET [/v1]/dashboard/billing/usage``         as a One API site tells it: used, in cents
``GET POST /sandbox/account``                 the account; ``{"balance_usd": "12.3", "monthly_cap_usd": "9"}``
``GET /sandbox/requests``                     counters per model, and the last requests
``POST /sandbox/reset``                       a new account, no requests
============================================  ==============================================================

A chat request may force the form of its answer with a field of its own,
``"sandbox": {"completion_tokens": N, "chunks": N, "delay_ms": N}``: the length (within ``max_tokens``), the
number of a stream's chunks with text, and the wait before each of them (before the whole of a JSON answer).
"""

import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Final

from sandbox import account as accounts
from sandbox import errors
from sandbox.answers import Answer
from sandbox.asgi import ClientGoneError, Receive, Scope, Send, dump, is_loopback, read_body, send_json
from sandbox.behaviours import BEHAVIOURS, INVALID_KEY_MODEL, Behaviour
from sandbox.completions import complete
from sandbox.requests import ChatRequest, RequestLog, RequestRecord, parse_chat, parse_object

Handler = Callable[[bytes], tuple[int, bytes]]

CHAT_PATH: Final = "/v1/chat/completions"
MODELS_CREATED: Final = 1_700_000_000


@dataclass(frozen=True, slots=True)
class Settings:
    """How a sandbox is set up; the account's figures are those of a new account."""

    api_key: str = "sk-sandbox"
    state_path: Path | None = None
    record_path: Path | None = None
    """Where every request is written down."""
    slow_seconds: float = 3.0
    account: accounts.Account = field(default_factory=accounts.Account)


class Sandbox:
    """The provider.

    :raises OSError: if the state file cannot be read, or the record cannot be written
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._authorization = f"Bearer {settings.api_key}".encode()
        self._store = accounts.AccountStore(settings.state_path, settings.account)
        self._log = RequestLog(settings.record_path)
        self._run = secrets.token_hex(6)
        self._serial = count(1)
        self._routes: dict[str, dict[str, Handler]] = {
            "/v1/models": {"GET": self._list_models},
            "/sandbox/account": {"GET": self._show_account, "POST": self._set_account},
            "/sandbox/requests": {"GET": self._show_requests},
            "/sandbox/reset": {"POST": self._reset},
            "/dashboard/billing/subscription": {"GET": self._show_subscription},
            "/v1/dashboard/billing/subscription": {"GET": self._show_subscription},
            "/dashboard/billing/usage": {"GET": self._show_usage},
            "/v1/dashboard/billing/usage": {"GET": self._show_usage},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"the sandbox speaks HTTP only, not {scope['type']}")
        try:
            if scope["path"] == CHAT_PATH and scope["method"] == "POST":
                await self._chat(scope, receive, send)
            else:
                status, body = await self._other(scope, receive)
                await send_json(send, status, body)
        except errors.ApiError as exc:
            await send_json(send, exc.status, dump(exc.body), exc.headers)
        except ClientGoneError:
            return

    # Chat

    async def _chat(self, scope: Scope, receive: Receive, send: Send) -> None:
        record = self._log.begin()
        try:
            self._authenticate(scope)
            request = parse_chat(parse_object(await read_body(scope, receive)), record)
            behaviour = BEHAVIOURS[request.model]
            self._admit(request, behaviour)
            record.status = 200
            await self._answer(request, behaviour, record, receive, send)
        except errors.ApiError as exc:
            record.status = exc.status
            raise
        except ClientGoneError:
            record.is_disconnected = True
            raise
        finally:
            self._log.end(record)

    def _admit(self, request: ChatRequest, behaviour: Behaviour) -> None:
        """Let a call in as a provider does: the key first, then the account, then the model's own failure."""
        if behaviour.failure is not None and request.model == INVALID_KEY_MODEL:
            raise behaviour.failure()
        match self._store.account.standing(at=time.time()):
            case accounts.Standing.NO_BALANCE:
                raise errors.insufficient_quota()
            case accounts.Standing.CAP_REACHED:
                raise errors.spend_limit_reached()
        if behaviour.failure is not None:
            raise behaviour.failure()

    async def _answer(
        self,
        request: ChatRequest,
        behaviour: Behaviour,
        record: RequestRecord,
        receive: Receive,
        send: Send,
    ) -> None:
        serial = f"chatcmpl-{self._run}{next(self._serial):08x}"
        completion = complete(request, id=serial, created=int(time.time()))
        slow = self._settings.slow_seconds if behaviour.is_slow else 0.0
        parts = len(completion.chunks) if request.is_stream else 1
        answer = Answer(
            completion=completion,
            behaviour=behaviour,
            record=record,
            delay_s=slow / parts + request.delay_ms / 1000,
            charge=self._charge,
            receive=receive,
            send=send,
        )
        if request.is_stream:
            await answer.send_stream()
        else:
            await answer.send_whole()

    def _charge(self, micros: int) -> None:
        self._store.account.charge(micros, at=time.time())
        self._store.changed()

    # Everything else

    async def _other(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        path, method = scope["path"], scope["method"]
        if path == "/healthz":
            return 200, b'{"status":"ok"}'
        methods = self._methods(path)
        self._authenticate(scope)
        if path.startswith("/sandbox/") and not is_loopback(scope):
            raise errors.loopback_only()
        if path == CHAT_PATH:
            raise errors.method_not_allowed(method, path, "POST")
        if methods is None:
            raise errors.unknown_url(method, path)
        handler = methods.get(method)
        if handler is None:
            raise errors.method_not_allowed(method, path, " or ".join(methods))
        return handler(await read_body(scope, receive))

    def _methods(self, path: str) -> Mapping[str, Handler] | None:
        if path.startswith("/v1/models/"):
            return {"GET": lambda _: self._show_model(path.removeprefix("/v1/models/"))}
        return self._routes.get(path)

    def _authenticate(self, scope: Scope) -> None:
        for name, value in scope["headers"]:
            if name == b"authorization":
                if hmac.compare_digest(value, self._authorization):
                    return
                raise errors.invalid_key(value.decode("latin-1").removeprefix("Bearer "))
        raise errors.missing_key()

    def _list_models(self, _: bytes) -> tuple[int, bytes]:
        return 200, dump({"object": "list", "data": [_model(name) for name in BEHAVIOURS]})

    def _show_model(self, name: str) -> tuple[int, bytes]:
        if name not in BEHAVIOURS:
            raise errors.model_not_found(name)
        return 200, dump(_model(name))

    def _show_subscription(self, _: bytes) -> tuple[int, bytes]:
        limit = accounts.format_usd(self._store.account.balance + self._store.account.used)
        body = (
            '{"object":"billing_subscription","has_payment_method":true,'
            f'"soft_limit_usd":{limit},"hard_limit_usd":{limit},"system_hard_limit_usd":{limit},"access_until":0}}'
        )
        return 200, body.encode()

    def _show_usage(self, _: bytes) -> tuple[int, bytes]:
        cents = accounts.format_cents(self._store.account.used)
        return 200, f'{{"object":"list","total_usage":{cents}}}'.encode()

    def _show_account(self, _: bytes) -> tuple[int, bytes]:
        prices = {
            name: {
                "prompt_usd_per_1m": str(item.price.prompt),
                "completion_usd_per_1m": str(item.price.completion),
            }
            for name, item in BEHAVIOURS.items()
        }
        return 200, dump({**self._store.account.as_dict(at=time.time()), "prices": prices})

    def _set_account(self, raw: bytes) -> tuple[int, bytes]:
        names = {"balance_usd": "balance", "monthly_cap_usd": "monthly_cap"}
        body = parse_object(raw)
        amounts = {}
        for key, value in body.items():
            if key not in names:
                raise errors.bad_request(f"Unrecognized request argument supplied: {key}", param=key)
            try:
                amounts[names[key]] = accounts.parse_usd(value)
            except accounts.AmountError as exc:
                raise errors.bad_request(f"Invalid '{key}': {exc}", param=key, code="invalid_value") from exc
        for name, micros in amounts.items():
            setattr(self._store.account, name, micros)
        self._store.changed()
        return self._show_account(raw)

    def _show_requests(self, _: bytes) -> tuple[int, bytes]:
        return 200, dump(self._log.as_dict())

    def _reset(self, raw: bytes) -> tuple[int, bytes]:
        self._store.reset()
        self._log.clear()
        return self._show_account(raw)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self._store.save()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": MODELS_CREATED, "owned_by": "sandbox"}
