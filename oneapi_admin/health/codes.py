"""Whether somebody guesses redemption codes, and who tried."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import F, Sum
from django.utils.translation import gettext as _

from accounts.models import User
from oneapi_admin.health.lines import Line, State, duration
from redemption.models import CodeAttack, RefusedAttempts

_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Guesser:
    """What one person tried from one address within the last hour."""

    user: User
    address: str
    refused: int
    throttled: int


def codes_line(at: datetime) -> Line:
    attack = CodeAttack.objects.open().first()
    refused, throttled = RefusedAttempts.objects.recent(at).count_attempts()
    state, value, advice = State.OK, _recent_text(refused, throttled), ""
    if attack is not None:
        state, value, advice = State.ERROR, _attack_text(attack, at), _advice()
    return Line(
        code="codes",
        title=_("Guessing of codes"),
        state=state,
        value=value,
        advice=advice,
        facts={
            "attack_since": attack.started_at.timestamp() if attack else None,
            "refused_last_hour": refused,
            "throttled_last_hour": throttled,
        },
    )


def guessers(at: datetime) -> Sequence[Guesser]:
    """Who tried codes within the last hour, most first."""
    found = list(
        RefusedAttempts.objects.recent(at)
        .values_list("user", "address")
        .annotate(refused=Sum("refused_count"), throttled=Sum("throttled_count"))
        .order_by((F("refused") + F("throttled")).desc(), "user", "address")[:_SHOWN]
    )
    users = User.objects.in_bulk({user_id for user_id, *_counts in found}) if found else {}
    return [
        Guesser(user=users[user_id], address=address, refused=refused, throttled=throttled)
        for user_id, address, refused, throttled in found
    ]


def _recent_text(refused: int, throttled: int) -> str:
    text = _("no attack; %(count)s refused in the last hour") % {"count": refused}
    if throttled:
        text += _(", ") + _("%(count)s throttled") % {"count": throttled}
    return text


def _attack_text(attack: CodeAttack, at: datetime) -> str:
    return _(
        "somebody is guessing: %(refused)s refused and %(throttled)s throttled, accounts: %(users)s,"
        " addresses: %(addresses)s; noticed %(since)s ago"
    ) % {
        "refused": attack.refused_count,
        "throttled": attack.throttled_count,
        "users": attack.user_count,
        "addresses": attack.address_count,
        "since": duration((at - attack.started_at).total_seconds()),
    }


def _advice() -> str:
    return _(
        "Codes have 80 random bits and wrong ones are throttled, so guessing will not succeed. Disable the"
        " accounts below that you do not trust; it is over when nobody tried for an hour."
    )
