"""Every kind of rule: what it is about, what it is compared with."""

from typing import Final

from billing.models import AlertKind, AlertScope
from billing.services.alerts import installation, people, sources, upstream
from billing.services.alerts.readings import Kind, Unit

_CHANNELS: Final = (AlertScope.ALL_CHANNELS, AlertScope.CHANNEL)
_USERS: Final = (AlertScope.ALL_USERS, AlertScope.USER)
_SITE: Final = (AlertScope.SITE,)
_YES: Final = ("1",)

KINDS: Final[dict[AlertKind, Kind]] = {
    AlertKind.QUOTA_USED: Kind(
        unit=Unit.PERCENT,
        scopes=_USERS,
        read_users=people.quota_used,
        default_thresholds=("80", "95", "100"),
    ),
    AlertKind.TOKEN_LIMIT_USED: Kind(
        unit=Unit.PERCENT,
        scopes=_USERS,
        read_users=people.token_limits_used,
        default_thresholds=("80", "95", "100"),
    ),
    AlertKind.BALANCE_BELOW: Kind(
        unit=Unit.USD,
        scopes=_USERS,
        is_above=False,
        read_users=people.balances,
        default_thresholds=("1",),
    ),
    AlertKind.CHANNEL_BALANCE_BELOW: Kind(
        unit=Unit.CURRENCY,
        scopes=_CHANNELS,
        is_above=False,
        read=upstream.balances,
        default_thresholds=("10", "0"),
    ),
    AlertKind.CHANNEL_LIMIT_USED: Kind(
        unit=Unit.PERCENT,
        scopes=_CHANNELS,
        read=upstream.limits_used,
        default_thresholds=("80", "95", "100"),
    ),
    AlertKind.FORECAST_BELOW: Kind(
        unit=Unit.HOURS,
        scopes=(*_CHANNELS, AlertScope.USER),
        is_above=False,
        read=upstream.forecasts,
        read_users=people.forecasts,
        is_decaying=True,
        every_s=300,
        default_thresholds=("24",),
    ),
    AlertKind.ERROR_RATE: Kind(
        unit=Unit.PERCENT, scopes=_CHANNELS, read=upstream.error_rates, default_thresholds=("5",)
    ),
    AlertKind.COST_PER_HOUR: Kind(
        unit=Unit.USD,
        scopes=(*_CHANNELS, *_USERS),
        read=upstream.costs_per_hour,
        read_users=people.costs_per_hour,
        is_decaying=True,
        default_thresholds=("10",),
    ),
    AlertKind.DRIFT: Kind(
        unit=Unit.PERCENT, scopes=_CHANNELS, read=upstream.drifts, default_thresholds=("5",)
    ),
    AlertKind.CHANNEL_DISABLED: Kind(
        unit=Unit.YES, scopes=_CHANNELS, read=upstream.disabled, default_thresholds=_YES
    ),
    AlertKind.CODE_ATTACK: Kind(
        unit=Unit.YES, scopes=_SITE, read=sources.of(AlertKind.CODE_ATTACK), default_thresholds=_YES
    ),
    AlertKind.AUDIT_FAILED: Kind(
        unit=Unit.YES, scopes=_SITE, read=installation.audit_failed, default_thresholds=_YES
    ),
    AlertKind.BACKLOG: Kind(
        unit=Unit.COUNT, scopes=_SITE, read=installation.overdue, default_thresholds=("1",)
    ),
}
