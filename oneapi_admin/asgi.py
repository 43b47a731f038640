"""One port for everything: ``/v1`` to the relay as raw ASGI, every other path to Django in threads.

Django's own ASGI handler is several times slower than its WSGI handler, and the relay would pay for a request
cycle that it has no use for.
"""

import gc
import os
from typing import Any, cast

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oneapi_admin.settings")
_django = get_wsgi_application()  # sets Django up, before anything below is imported

from a2wsgi import WSGIMiddleware  # noqa: E402
from django.conf import settings  # noqa: E402

from oneapi_admin.console import App, Console, Receive, Scope, Send  # noqa: E402
from oneapi_admin.lib.request_id import HEADER, new_request_id  # noqa: E402
from oneapi_admin.metrics.endpoint import MetricsApp  # noqa: E402
from relay.app import RelayApp  # noqa: E402

SETTLE_SECONDS = 10.0
"""What the relay gets to settle its last calls: by then the server has waited for them, or cancelled them."""


class Dispatcher:
    """The ASGI application."""

    def __init__(self, *, relay: RelayApp, console: App, metrics: MetricsApp) -> None:
        self._relay = relay
        self._console = console
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path.startswith("/v1/") or path == "/v1":
                await self._relay(scope, receive, send)
            elif path == "/healthz":
                await _answer_health(scope, send)
            elif path == "/metrics":
                await self._metrics(scope, receive, send)
            else:
                await self._console(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self._relay.startup()
        except Exception as exc:
            await send({"type": "lifespan.startup.failed", "message": f"The relay cannot start: {exc!r}"})
            raise
        await self._metrics.startup()
        gc.freeze()  # what was imported stays: collecting garbage need not look through it again and again
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._relay.shutdown(SETTLE_SECONDS)
        await self._metrics.shutdown()
        await send({"type": "lifespan.shutdown.complete"})


async def _answer_health(scope: Scope, send: Send) -> None:
    """This process serves: nothing else is asked, so that a database's trouble does not get us restarted."""
    is_safe = scope["method"] in ("GET", "HEAD")
    body = b'{"status": "ok"}' if is_safe else b'{"status": "method not allowed"}'
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (HEADER.lower().encode(), new_request_id().encode()),
    ]
    if not is_safe:
        headers.append((b"allow", b"GET, HEAD"))
    await send({"type": "http.response.start", "status": 200 if is_safe else 405, "headers": headers})
    await send({"type": "http.response.body", "body": body})


_threads = WSGIMiddleware(cast("Any", _django), workers=settings.CONSOLE_THREADS)
application = Dispatcher(relay=RelayApp(), console=Console(cast("App", _threads)), metrics=MetricsApp())
