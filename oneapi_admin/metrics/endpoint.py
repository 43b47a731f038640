"""The ASGI application behind ``/metrics``."""

import asyncio
from collections.abc import Iterable
from typing import Final

from django.conf import settings
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, Metric, ProcessCollector, generate_latest
from prometheus_client.registry import Collector

from oneapi_admin.console import Receive, Scope, Send
from oneapi_admin.lib.request_id import HEADER, new_request_id
from oneapi_admin.metrics.access import may_read
from oneapi_admin.metrics.installation import Installation
from oneapi_admin.metrics.peers import Peers
from relay.metrics import REGISTRY

_TEXT: Final = "text/plain; charset=utf-8"
_PROCESS: Final = ProcessCollector(registry=None)


class MetricsApp:
    """Answers with what all web processes of this machine count."""

    def __init__(self) -> None:
        self._peers = Peers(settings.RUNTIME_DIR / "metrics", process_families)
        self._installation = Installation()

    async def startup(self) -> None:
        await self._peers.start()

    async def shutdown(self) -> None:
        await self._peers.close()
        self._installation.close()

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, b"Use GET.\n", headers=[(b"allow", b"GET, HEAD")])
        elif may_read(scope):
            await _answer(send, 200, await self._text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)
        elif settings.METRICS_TOKEN:
            body = b"Send METRICS_TOKEN as a bearer token, or come from an address of METRICS_NETWORKS.\n"
            await _answer(send, 401, body, headers=[(b"www-authenticate", b'Bearer realm="metrics"')])
        else:
            body = b"Not from this address: set METRICS_TOKEN or METRICS_NETWORKS.\n"
            await _answer(send, 403, body)

    async def _text(self) -> bytes:
        counted, found = await asyncio.gather(self._peers.collect(), self._installation.collect())
        return generate_latest(_Collected([*counted, *found]))


class _Collected(Collector):
    """Families that are there already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def process_families() -> Iterable[Metric]:
    """What this process counts, and what the system says of it."""
    return [*REGISTRY.collect(), *_PROCESS.collect()]


async def _answer(
    send: Send,
    status: int,
    body: bytes,
    *,
    content_type: str = _TEXT,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    own = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (HEADER.lower().encode(), new_request_id().encode()),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": own})
    await send({"type": "http.response.body", "body": body})
