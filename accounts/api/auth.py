"""Who is asking: an access token, or a person signed in with the browser."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

from django.conf import settings
from django.http import HttpRequest
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from ninja.operation import Operation
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf, contribute_operation_callback

from accounts.models import AccessToken, Role, Scope, User
from accounts.services.access_tokens import use_access_token
from accounts.services.permissions import PermissionDeniedError
from oneapi_admin.lib.api.rate_limits import count_request
from oneapi_admin.lib.errors import DomainError

View = TypeVar("View", bound=Callable[..., Any])
_EVERYTHING = frozenset(Scope.values)


class InvalidAccessTokenError(DomainError):
    code = "invalid_access_token"
    http_status = 401
    message = _("This access token is unknown, revoked or expired, or its owner is disabled.")
    remedy = _("Make a new one on the Settings page.")


class CsrfError(DomainError):
    code = "csrf_failed"
    http_status = 403
    message = _("A request by session that changes something needs the CSRF token.")
    remedy = _("Send the cookie “csrftoken” as the header “X-CSRFToken”, or use an access token.")


class MissingScopeError(DomainError):
    code = "missing_scope"
    http_status = 403
    message = _("This access token lacks the scope “%(scope)s”.")
    remedy = _("Use one that has it, or make a new one on the Settings page.")


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, and what they may ask for; ``request.auth`` of every operation."""

    user: User
    scopes: frozenset[str]
    access_token: AccessToken | None = None


class ApiRequest(HttpRequest):
    """What an operation gets."""

    auth: Principal


class AccessTokenAuth(HttpBearer):
    """``Authorization: Bearer oa-…``"""

    def authenticate(self, request: HttpRequest, token: str) -> Principal:
        """
        :raises InvalidAccessTokenError: if the token is not in order; there is no second try by cookie
        """
        address = request.META.get("REMOTE_ADDR") or None
        found = use_access_token(key=token, address=address, at=timezone.now())
        if found is None:
            raise InvalidAccessTokenError
        count_request(
            request,
            policy="token",
            identity=str(found.pk),
            limit=settings.API_REQUESTS_PER_TOKEN,
        )
        scopes = _EVERYTHING if Scope.ADMIN in found.scopes else frozenset(found.scopes)
        return Principal(user=found.user, scopes=scopes, access_token=found)


class SessionAuth(APIKeyCookie):
    """The session of a person who signed in, with the CSRF token where something is changed."""

    param_name = settings.SESSION_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> Principal | None:
        """
        :raises CsrfError: if another site may have sent it
        """
        if not request.user.is_authenticated:
            return None
        _body = request.body  # kept before the check, which would use a form's up
        if check_csrf(request) is not None:
            raise CsrfError
        return Principal(user=request.user, scopes=_EVERYTHING)

    def authenticate(self, request: HttpRequest, key: str | None) -> Principal | None:
        raise NotImplementedError("everything is done above")


AUTH = [AccessTokenAuth(), SessionAuth()]


def owner_of(request: ApiRequest, user_id: int | None) -> User:
    """Whose keys an operation is about: the caller's own, or those of somebody below them.

    :raises Http404: if the caller may not manage this person
    """
    actor = request.auth.user
    if user_id is None or user_id == actor.pk:
        return actor
    owner: User = get_object_or_404(User.objects.manageable_by(actor), pk=user_id)
    return owner


def requires(
    scope: Scope, *, is_read: bool = False, is_for_operators: bool = False, is_for_root: bool = False
) -> Callable[[View], View]:
    """Let an operation be used with a scope only.

    :param is_read: whether ``read`` does as well
    :param is_for_operators: whether ordinary users are refused
    :param is_for_root: whether everybody else is
    """
    enough = {scope, Scope.READ} if is_read else {scope}
    roles = {Role.ROOT} if is_for_root else {Role.ROOT, Role.ADMIN} if is_for_operators else set(Role)

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: ApiRequest, *args: Any, **values: Any) -> Any:
            if not enough & request.auth.scopes:
                raise MissingScopeError(scope=scope.value)
            if request.auth.user.role not in roles:
                raise PermissionDeniedError
            return view(request, *args, **values)

        def document(operation: Operation) -> None:
            extra = {
                "x-scopes": sorted(enough),
                "x-roles": ["any"] if roles == set(Role) else sorted(roles, reverse=True),
            }
            operation.openapi_extra = {**(operation.openapi_extra or {}), **extra}

        contribute_operation_callback(checked, document)
        return checked  # type: ignore[return-value]

    return decorate
