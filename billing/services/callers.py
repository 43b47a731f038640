"""Who is calling ``/v1``, and whether the token lets them."""

import ipaddress
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from django.db import connection
from django.utils.translation import gettext_lazy as _

from accounts.models import TokenStatus, UserStatus
from oneapi_admin.lib.errors import DomainError
from oneapi_admin.lib.sql import moment


class InvalidTokenError(DomainError):
    code = "invalid_api_key"
    http_status = 401
    message = _("This token is not known here.")
    remedy = _("Check that the key was copied whole, or create a new token on the Tokens page.")


class TokenDisabledError(DomainError):
    code = "key_disabled"
    http_status = 401
    message = _("The token “%(token)s” is disabled.")
    remedy = _("Enable it on the Tokens page.")


class TokenExpiredError(DomainError):
    code = "key_expired"
    http_status = 401
    message = _("The token “%(token)s” expired on %(expired)s.")
    remedy = _("Give it a later expiry on the Tokens page, or create a new token.")


class UserDisabledError(DomainError):
    code = "user_disabled"
    http_status = 403
    error_type = "permission_error"
    message = _("The user “%(user)s” is disabled.")
    remedy = _("Ask the operator of this service.")


class NetworkNotAllowedError(DomainError):
    code = "network_not_allowed"
    http_status = 403
    error_type = "permission_error"
    message = _(
        "The token “%(token)s” may not be used from the address %(address)s; it is limited to %(networks)s."
    )
    remedy = _("Call from an allowed network, or change the token's networks on the Tokens page.")


class ModelNotAllowedError(DomainError):
    code = "model_not_allowed"
    http_status = 403
    error_type = "permission_error"
    message = _("The token “%(token)s” may not use the model “%(model)s”; it is limited to %(models)s.")
    remedy = _("Use an allowed model, or change the token's models on the Tokens page.")


@dataclass(slots=True, kw_only=True)
class Caller:
    """A token and its owner, as read in the transaction that decides."""

    token_id: int
    token_name: str
    token_status: str
    expires_at: datetime | None
    allowed_models: tuple[str, ...]
    allowed_networks: tuple[str, ...]
    user_id: int
    username: str
    user_status: str
    group: str
    language: str


COLUMNS = """t.key_hash, t.id, t.name, t.status, t.expires_at, t.allowed_models, t.allowed_networks,
    u.id, u.username, u.status, u."group", u.language"""
"""What :func:`caller_of` reads, of tokens ``t`` and their owners ``u``."""
TABLES = "accounts_token t JOIN accounts_user u ON u.id = t.user_id"


def find_caller(*, key_hash: str) -> Caller | None:
    """Read the caller behind a hash; None if it is no token's."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {COLUMNS} FROM {TABLES} WHERE t.key_hash = %s", [key_hash])
        row = cursor.fetchone()
    return None if row is None else caller_of(row)


def caller_of(row: Sequence[Any]) -> Caller:
    """The caller in a row that begins with ``COLUMNS``."""
    return Caller(
        token_id=row[1],
        token_name=row[2],
        token_status=row[3],
        expires_at=moment(row[4]),
        allowed_models=_texts(row[5]),
        allowed_networks=_texts(row[6]),
        user_id=row[7],
        username=row[8],
        user_status=row[9],
        group=row[10],
        language=row[11],
    )


def check_caller(*, caller: Caller | None, client_ip: str, at: datetime) -> Caller:
    """Return the caller if the token, its owner and the network are in order.

    :raises DomainError: one of the errors above, the first that applies
    """
    if caller is None or caller.user_status == UserStatus.DELETED:
        raise InvalidTokenError
    if caller.user_status != UserStatus.ENABLED:
        raise UserDisabledError(user=caller.username)
    if caller.token_status != TokenStatus.ENABLED:
        raise TokenDisabledError(token=caller.token_name)
    if caller.expires_at is not None and caller.expires_at <= at:
        raise TokenExpiredError(token=caller.token_name, expired=f"{caller.expires_at:%Y-%m-%d %H:%M} UTC")
    if caller.allowed_networks and not _is_inside(client_ip, caller.allowed_networks):
        raise NetworkNotAllowedError(
            token=caller.token_name, address=client_ip, networks=", ".join(caller.allowed_networks)
        )
    return caller


def check_model(*, caller: Caller, model: str) -> None:
    """
    :raises ModelNotAllowedError: if the token names its models and this is none of them
    """
    if caller.allowed_models and model not in caller.allowed_models:
        raise ModelNotAllowedError(
            token=caller.token_name, model=model, models=", ".join(caller.allowed_models)
        )


def _is_inside(client_ip: str, networks: Iterable[str]) -> bool:
    try:
        address = ipaddress.ip_address(client_ip)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in ipaddress.ip_network(network) for network in networks)


@lru_cache(maxsize=1024)
def _texts(array: str) -> tuple[str, ...]:
    return tuple(json.loads(array))
