"""A person's tokens as their page lists them."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Q, QuerySet
from django.db.models.enums import TextChoices
from django.utils.translation import gettext_lazy as _

from accounts.models import Token, TokenStatus, User


class TokenState(TextChoices):
    """Whether a token works, and if not, why: the first reason that applies."""

    WORKING = "working", _("Enabled")
    DISABLED = "disabled", _("Disabled")
    EXPIRED = "expired", _("Expired")
    USED_UP = "used_up", _("Limit used up")


_VARIANTS = {
    TokenState.WORKING: "ok",
    TokenState.DISABLED: "muted",
    TokenState.EXPIRED: "warn",
    TokenState.USED_UP: "danger",
}


@dataclass(frozen=True, slots=True)
class TokenRow:
    token: Token
    state: TokenState

    @property
    def variant(self) -> str:
        """The colour of the state."""
        return _VARIANTS[self.state]

    @property
    def is_nearly_used_up(self) -> bool:
        """Whether four fifths of the token's own limit are spent."""
        quota = self.token.quota
        return quota.quota_limit is not None and quota.used_quota * 5 >= quota.quota_limit * 4


def tokens_of(*, user: User, text: str = "", state: str = "", at: datetime) -> QuerySet[Token]:
    """The person's tokens with their quotas, by a part of the name and by state."""
    tokens = Token.objects.owned_by(user).select_related("quota")
    if text:
        tokens = tokens.filter(Q(name__icontains=text) | Q(key_prefix__icontains=text))
    return tokens.filter(_condition(TokenState(state), at)) if state in TokenState.values else tokens


def token_row(token: Token, *, at: datetime) -> TokenRow:
    return TokenRow(token, _state_of(token, at))


def _condition(state: TokenState, at: datetime) -> Q:
    disabled = Q(status=TokenStatus.DISABLED)
    expired = Q(expires_at__isnull=False, expires_at__lte=at)
    used_up = Q(quota__quota_limit__isnull=False, quota__quota_limit__lte=F("quota__used_quota"))
    return {
        TokenState.DISABLED: disabled,
        TokenState.EXPIRED: ~disabled & expired,
        TokenState.USED_UP: ~disabled & ~expired & used_up,
        TokenState.WORKING: ~disabled & ~expired & ~used_up,
    }[state]


def _state_of(token: Token, at: datetime) -> TokenState:
    if token.status == TokenStatus.DISABLED:
        return TokenState.DISABLED
    if token.has_expired(at):
        return TokenState.EXPIRED
    limit = token.quota.quota_limit
    return TokenState.USED_UP if limit is not None and token.quota.used_quota >= limit else TokenState.WORKING
