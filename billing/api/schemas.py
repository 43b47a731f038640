"""What the API says of people, movements and tokens."""

from decimal import Decimal
from typing import Annotated, Literal

from ninja import Schema
from pydantic import ConfigDict, Field, model_validator

from accounts.models import Role, Token, TokenStatus, User, UserStatus
from accounts.validators import GROUP_PATTERN, USERNAME_PATTERN
from billing.models import EntryKind, LedgerEntry
from oneapi_admin.lib.api.etags import etag_of
from oneapi_admin.lib.api.fields import Body, Id, PositiveQuota, Quota, Text, Time, documented
from oneapi_admin.lib.quota import from_usd, to_usd

Username = Annotated[Text, Field(min_length=1, max_length=64, pattern=USERNAME_PATTERN, examples=["ann"])]
Group = Annotated[Text, Field(min_length=1, max_length=32, examples=["default"]), documented(GROUP_PATTERN)]
RoleName = Literal["user", "admin", "root"]
StatusName = Literal["enabled", "disabled"]
Usd = Annotated[Decimal, Field(description="US dollars, exactly, as a string.", examples=["1.5"])]

_DIGIT, _EVEN = "[0-9]", "[02468]"
_DECIMALS = rf"({_DIGIT}{{1,5}}|{_DIGIT}{{5}}{_EVEN})"
_NOT_ZERO = "|".join(
    [
        rf"[1-9]({_DIGIT}{{0,4}}|{_DIGIT}{{4}}{_EVEN})",
        rf"0[1-9]({_DIGIT}{{0,3}}|{_DIGIT}{{3}}{_EVEN})",
        rf"00[1-9]({_DIGIT}{{0,2}}|{_DIGIT}{{2}}{_EVEN})",
        rf"000[1-9]({_DIGIT}?|{_DIGIT}{_EVEN})",
        rf"0000[1-9]{_EVEN}?",
        "00000[2468]",
    ]
)
USD_PATTERN = rf"^([1-9]{_DIGIT}{{0,9}}(\.{_DECIMALS})?|0\.({_NOT_ZERO}))$"
"""Dollars that are a whole number of quota units, at least one."""


class Amount(Body):
    """Quota units or US dollars, one of the two."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"properties": {"quota": {"type": "integer"}}, "required": ["quota"]},
                {"properties": {"usd": {"type": "string"}}, "required": ["usd"]},
            ]
        }
    )

    quota: PositiveQuota | None = None
    usd: Annotated[
        str | None,
        Field(
            pattern=USD_PATTERN,
            description="US dollars as a string, more than 0; a multiple of $0.000002.",
            examples=["5.00"],
        ),
    ] = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "Amount":
        if (self.quota is None) == (self.usd is None):
            raise ValueError("send “quota” or “usd”, one of the two")
        return self

    def amount(self) -> int:
        """In quota units."""
        return self.quota if self.quota is not None else from_usd(Decimal(self.usd or "0"))


class UserOut(Schema):
    """A person and their quota account."""

    id: Id
    username: str
    email: str
    display_name: str
    role: RoleName
    status: Literal["enabled", "disabled", "deleted"]
    group: str
    balance: Quota
    held: Quota = Field(description="What calls in flight may still cost, in quota units.")
    used_quota: Quota
    request_count: int = Field(ge=0)
    created_at: Time

    @classmethod
    def of(cls, person: User) -> "UserOut":
        """
        :param person: from ``billing.queries.users.people``
        """
        return cls.model_validate(person, from_attributes=True)


def user_etag(person: User) -> str:
    """The version of what edits of a person change."""
    return etag_of(person.pk, person.display_name, person.email, person.role, person.group, person.status)


class EntryOut(Schema):
    """One movement of quota."""

    id: Id
    user_id: Id
    username: str
    kind: Annotated[str, Field(json_schema_extra={"enum": list(EntryKind.values)})]
    amount: Quota
    amount_usd: Usd
    balance_after: Quota
    actor_id: Id | None = Field(description="Who did it; null for calls and for the system.")
    memo: str
    reference: str = Field(description="What it belongs to, such as a refunded call's `request_id`.")
    reverses_id: Id | None = Field(description="The entry that this one takes back.")
    reversed_by_id: Id | None = Field(description="The entry that took this one back.")
    shortfall: Quota = Field(
        description="What a reversal could not take back because it was gone, in quota units; 0 for others."
    )
    created_at: Time

    @classmethod
    def of(cls, entry: LedgerEntry) -> "EntryOut":
        """
        :param entry: with ``account__user``, ``reverses`` and ``reversal_id``
        """
        return cls(
            id=entry.pk,
            user_id=entry.account_id,
            username=entry.account.user.username,
            kind=entry.kind,
            amount=entry.amount,
            amount_usd=to_usd(entry.amount),
            balance_after=entry.balance_after,
            actor_id=entry.actor_id,
            memo=entry.memo,
            reference=entry.reference,
            reverses_id=entry.reverses_id,
            reversed_by_id=entry.reversal_id,
            shortfall=entry.shortfall,
            created_at=entry.created_at,
        )


class TokenOut(Schema):
    """A token for ``/v1``; its key is shown once, when it is made or rotated."""

    id: Id
    user_id: Id
    name: str
    key_prefix: str = Field(description="The key's beginning and end, to tell tokens apart.")
    status: StatusName
    quota_limit: Quota | None = Field(description="The most it may ever spend; null for no limit of its own.")
    used_quota: Quota
    held: Quota
    request_count: int = Field(ge=0)
    allowed_models: list[str] = Field(description="Empty for all.")
    allowed_networks: list[str] = Field(description="Empty for all.", examples=[["192.0.2.0/24"]])
    expires_at: Time | None
    last_used_at: Time | None
    created_at: Time

    @classmethod
    def of(cls, token: Token) -> "TokenOut":
        """
        :param token: with its ``quota``
        """
        quota = token.quota
        return cls(
            id=token.pk,
            user_id=token.user_id,
            name=token.name,
            key_prefix=token.key_prefix,
            status="enabled" if token.status == TokenStatus.ENABLED else "disabled",
            quota_limit=quota.quota_limit,
            used_quota=quota.used_quota,
            held=quota.held,
            request_count=quota.request_count,
            allowed_models=token.allowed_models,
            allowed_networks=token.allowed_networks,
            expires_at=token.expires_at,
            last_used_at=quota.last_used_at,
            created_at=token.created_at,
        )


class NewTokenOut(TokenOut):
    """A token with its key, which is shown this once."""

    key: str = Field(examples=["sk-…"])


def token_etag(token: Token) -> str:
    """The version of what edits of a token change."""
    return etag_of(
        token.pk,
        token.name,
        token.status,
        token.quota.quota_limit,
        token.expires_at,
        token.allowed_models,
        token.allowed_networks,
        token.key_prefix,
    )


assert set(Role.values) == {"user", "admin", "root"}  # noqa: S101  the schema's names are the model's
assert set(UserStatus.values) == {"enabled", "disabled", "deleted"}  # noqa: S101
