"""What the API says of rules of alerts."""

from datetime import time
from typing import Annotated, Literal, get_args

from ninja import Schema
from pydantic import Field

from billing.api.alert_owners import Owner, OwnerName, name_of_owner
from billing.api.schemas import StatusName
from billing.models import AlertAudience, AlertKind, AlertRule, AlertScope
from billing.services.alerts.destinations import MOST as MOST_DESTINATIONS
from billing.services.alerts.rules import MOST_THRESHOLDS
from oneapi_admin.lib.api.etags import etag_of
from oneapi_admin.lib.api.fields import Body, Id, Name, Text, Time

KindName = Literal[
    "quota_used",
    "token_limit_used",
    "balance_below",
    "channel_balance_below",
    "channel_limit_used",
    "forecast_below",
    "error_rate",
    "cost_per_hour",
    "drift",
    "channel_disabled",
    "code_attack",
    "audit_failed",
    "backlog",
]
ScopeName = Literal["all_channels", "channel", "all_users", "user", "site"]
AudienceName = Literal["operators", "user", "both"]
Threshold = Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$", examples=["95"])]
Thresholds = Annotated[
    list[Threshold],
    Field(
        max_length=MOST_THRESHOLDS,
        description="Each is told once, until it has recovered: percent, US dollars, the provider's currency,"
        " hours or a number, as the kind has it; decimal numbers as strings. Without any, the usual ones of"
        " the kind. What happens or does not (`channel_disabled`, `code_attack`, `audit_failed`) has `1`.",
        examples=[["80", "95", "100"]],
    ),
]
CriticalThresholds = Annotated[
    list[Threshold],
    Field(
        max_length=MOST_THRESHOLDS,
        description="Those of the thresholds whose alerts wait neither for the end of the quiet hours nor for"
        " a digest.",
    ),
]
Calls = Annotated[
    int, Field(ge=0, le=1_000_000, description="How many calls an error rate has to be based on.")
]
DestinationIds = Annotated[
    list[Id], Field(max_length=MOST_DESTINATIONS, description="Of destinations of the rule's owner.")
]
ClockTime = Annotated[str, Field(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$", examples=["22:30"])]
TimeZone = Annotated[
    Text,
    Field(
        max_length=64,
        examples=["Asia/Shanghai"],
        description="Of whoever is told; empty for the installation's.",
    ),
]
Minutes = Annotated[
    int,
    Field(
        ge=0,
        le=1440,
        description="For how long alerts are collected: a part of a day such as 15 or 60, or 1440 for once a"
        " day, at `digest_at`. 0: not at all.",
    ),
]
TIMES = ("quiet_from", "quiet_until", "digest_at")


class AlertRuleIn(Body):
    name: Name
    kind: KindName
    owner: Owner = None
    thresholds: Thresholds = []
    critical_thresholds: CriticalThresholds = []
    scope: ScopeName | None = Field(
        None,
        description="What it is about; by default `channel` or `user` where one is named, else everything of"
        " its kind. One's own rules are about oneself.",
    )
    channel_id: Id | None = Field(None, description="With the scope `channel`.")
    user_id: Id | None = Field(None, description="With the scope `user`; oneself in one's own rules.")
    minimum_calls: Calls = 20
    audience: AudienceName | None = Field(
        None, description="Who gets mail; `operators` by default, in one's own rules `user`."
    )
    is_mailed: bool = True
    is_sent_to_webhooks: bool = Field(True, description="Of the operators' rules only.")
    destination_ids: DestinationIds = []
    tells_recovery: bool = Field(False, description="Whether it is told, too, that it is over.")
    quiet_from: ClockTime | None = Field(None, description="Quiet hours, by `time_zone`; both or none.")
    quiet_until: ClockTime | None = None
    time_zone: TimeZone = ""
    digest_minutes: Minutes = 0
    digest_at: ClockTime | None = Field(None, description="By `time_zone`; 09:00 without it.")
    status: StatusName = "enabled"


class AlertRulePatch(Body):
    """What to change; what is left out stays. Null takes a channel, a user or times away."""

    name: Name | None = None
    thresholds: Thresholds | None = None
    critical_thresholds: CriticalThresholds | None = None
    scope: ScopeName | None = None
    channel_id: Id | None = None
    user_id: Id | None = None
    minimum_calls: Calls | None = None
    audience: AudienceName | None = None
    is_mailed: bool | None = None
    is_sent_to_webhooks: bool | None = None
    destination_ids: DestinationIds | None = None
    tells_recovery: bool | None = None
    quiet_from: ClockTime | None = None
    quiet_until: ClockTime | None = None
    time_zone: TimeZone | None = None
    digest_minutes: Minutes | None = None
    digest_at: ClockTime | None = None
    status: StatusName | None = None


class AlertRuleOut(Schema):
    """When somebody wants to be told of what."""

    id: Id
    owner: OwnerName
    name: str
    kind: KindName
    thresholds: list[str]
    critical_thresholds: list[str]
    scope: ScopeName
    channel_id: Id | None
    user_id: Id | None
    minimum_calls: int = Field(ge=0)
    audience: AudienceName
    is_mailed: bool
    is_sent_to_webhooks: bool
    destination_ids: list[Id]
    tells_recovery: bool
    quiet_from: str | None
    quiet_until: str | None
    time_zone: str
    digest_minutes: int = Field(ge=0)
    digest_at: str | None
    status: StatusName = Field(description="A disabled one has no alerts.")
    open_alerts: int = Field(ge=0, description="How many of its alerts are open.")
    created_by_id: Id | None
    created_at: Time

    @classmethod
    def of(cls, rule: AlertRule) -> "AlertRuleOut":
        """
        :param rule: from ``billing.queries.alerts``
        """
        names = (
            *("id", "name", "kind", "thresholds", "critical_thresholds", "scope", "channel_id", "user_id"),
            *("minimum_calls", "audience", "is_mailed", "is_sent_to_webhooks", "tells_recovery"),
            *("time_zone", "digest_minutes", "created_by_id", "created_at"),
        )
        return cls(
            owner=name_of_owner(rule.owner_id),
            destination_ids=_destination_ids(rule),
            status="enabled" if rule.is_enabled else "disabled",
            open_alerts=rule.open_count,  # type: ignore[attr-defined]  # the query's
            quiet_from=_clock_text(rule.quiet_from),
            quiet_until=_clock_text(rule.quiet_until),
            digest_at=_clock_text(rule.digest_at),
            **{name: getattr(rule, name) for name in names},
        )


def alert_rule_etag(rule: AlertRule) -> str:
    """The version of what edits of a rule change."""
    names = (
        *("name", "thresholds", "critical_thresholds", "scope", "channel_id", "user_id", "minimum_calls"),
        *("audience", "is_mailed", "is_sent_to_webhooks", "tells_recovery", *TIMES, "time_zone"),
        *("digest_minutes", "is_enabled"),
    )
    return etag_of(rule.pk, _destination_ids(rule), *(getattr(rule, name) for name in names))


def _destination_ids(rule: AlertRule) -> list[int]:
    return sorted(destination.pk for destination in rule.destinations.all())


def _clock_text(moment: time | None) -> str | None:
    return None if moment is None else f"{moment:%H:%M}"


assert set(AlertKind.values) == set(get_args(KindName))  # noqa: S101  the schema's names are the model's
assert set(AlertScope.values) == set(get_args(ScopeName))  # noqa: S101
assert set(AlertAudience.values) == set(get_args(AudienceName))  # noqa: S101
