"""Who may read the metrics: operators' addresses, or whoever has the token."""

import hmac
from collections.abc import MutableMapping
from ipaddress import ip_address
from typing import Any

from django.conf import settings

from oneapi_admin.console import FORWARDING_HEADERS
from oneapi_admin.lib.origin import plain_address


def may_read(scope: MutableMapping[str, Any]) -> bool:
    headers = dict(scope["headers"])
    return _has_token(headers.get(b"authorization", b"")) or _is_operators(_address(scope))


def _has_token(authorization: bytes) -> bool:
    scheme, _, token = authorization.partition(b" ")
    expected = settings.METRICS_TOKEN.encode()
    return bool(expected) and scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), expected)


def _is_operators(address: str | None) -> bool:
    if address is None:
        return False
    parsed = ip_address(address)
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(parsed in network for network in settings.METRICS_NETWORKS)


def _address(scope: MutableMapping[str, Any]) -> str | None:
    """The caller's, as the server and its trusted proxies tell it.

    None behind a proxy that nobody said to trust: the address is the proxy's, whoever calls through it.
    """
    is_forwarded = any(FORWARDING_HEADERS.fullmatch(name) for name, _value in scope["headers"])
    client = scope.get("client")
    if client is None or (is_forwarded and not settings.TRUSTED_PROXIES):
        return None
    return plain_address(client[0])
