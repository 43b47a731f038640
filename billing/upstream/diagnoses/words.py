"""What each class means to people: whose affair it is, what to do, and how long it lasts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from billing.upstream.diagnoses.classes import ChannelAdvice, ErrorClass, Responsible

_IN_SECONDS_S, _IN_MINUTES_S = 120, 2 * 60 * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What follows from a class."""

    responsible: Responsible | None
    advice: ChannelAdvice
    wait_s: int | None
    """After how long the same call may succeed where the provider says nothing; None: not by waiting."""
    meaning: str | Promise
    remedy: str | Promise
    lasts: str | Promise
    """Where no wait is known."""


POLICIES: Mapping[ErrorClass, Policy] = {
    ErrorClass.RATE_LIMITED: Policy(
        responsible=Responsible.OPERATOR,
        advice=ChannelAdvice.PAUSE,
        wait_s=1,
        meaning=_("Too many requests or tokens within a short time: the account's rate is limited."),
        remedy=_("Wait, longer each time it happens again, then go on more slowly; or use another channel."),
        lasts=_("seconds"),
    ),
    ErrorClass.WINDOW_QUOTA: Policy(
        responsible=Responsible.OPERATOR,
        advice=ChannelAdvice.PAUSE,
        wait_s=60 * 60,
        meaning=_("The account's allowance of a day or of another fixed time is used up."),
        remedy=_("Use another channel until it begins again, or get a larger plan."),
        lasts=_("hours, until the allowance begins again"),
    ),
    ErrorClass.SPEND_LIMIT: Policy(
        responsible=Responsible.OPERATOR,
        advice=ChannelAdvice.DISABLE,
        wait_s=None,
        meaning=_("A limit on what may be spent is reached: of the account, a project or the key."),
        remedy=_("Raise the limit at the provider, or wait for the next period."),
        lasts=_("until the limit is raised or the month begins again (UTC)"),
    ),
    ErrorClass.CREDIT_EXHAUSTED: Policy(
        responsible=Responsible.OPERATOR,
        advice=ChannelAdvice.DISABLE,
        wait_s=None,
        meaning=_("The provider's account has no money left, or no means of payment."),
        remedy=_("Top up the account at the provider or pay what is due; some then want a new key."),
        lasts=_("10–15 minutes after a top-up"),
    ),
    ErrorClass.PLAN_DENIED: Policy(
        responsible=Responsible.OPERATOR,
        advice=ChannelAdvice.LEAVE,
        wait_s=None,
        meaning=_("The account may not use this model or feature."),
        remedy=_("Take the model off this channel, or have it opened for the account at the provider."),
        lasts=_("until the plan or the channel's models are changed"),
    ),
    ErrorClass.AUTH_INVALID: Policy(
        responsible=Responsible.OPERATOR,
        advice=ChannelAdvice.DISABLE,
        wait_s=None,
        meaning=_("The key is wrong, expired or revoked, or belongs to another address of the provider."),
        remedy=_("Enter a new key, and check that the base URL is of the region that the key was made in."),
        lasts=_("about 5 minutes after the key is replaced"),
    ),
    ErrorClass.ACCOUNT_SUSPENDED: Policy(
        responsible=Responsible.OPERATOR,
        advice=ChannelAdvice.DISABLE,
        wait_s=None,
        meaning=_("The provider has suspended or deactivated the account."),
        remedy=_("Look into the provider's console or mail, and settle it with its support."),
        lasts=_("until the provider restores the account"),
    ),
    ErrorClass.OVERLOADED: Policy(
        responsible=Responsible.PROVIDER,
        advice=ChannelAdvice.PAUSE,
        wait_s=5,
        meaning=_("The provider is overloaded or failed; the account is in order."),
        remedy=_("Try again in a moment, or use another channel or model meanwhile."),
        lasts=_("seconds to minutes"),
    ),
    ErrorClass.TOO_LARGE: Policy(
        responsible=Responsible.CALLER,
        advice=ChannelAdvice.LEAVE,
        wait_s=None,
        meaning=_("This request is too large: it does not fit, however long one waits."),
        remedy=_("Shorten the prompt or lower the limit of the answer."),
        lasts=_("until the request is smaller"),
    ),
    ErrorClass.BAD_REQUEST: Policy(
        responsible=Responsible.CALLER,
        advice=ChannelAdvice.LEAVE,
        wait_s=None,
        meaning=_("The provider says that the request itself is wrong."),
        remedy=_("Change the request as the message says; the account and its key are in order."),
        lasts=_("until the request is changed"),
    ),
    ErrorClass.UNKNOWN: Policy(
        responsible=None,
        advice=ChannelAdvice.LEAVE,
        wait_s=None,
        meaning=_("The provider refuses, and says nothing from which the reason can be told."),
        remedy=_("Read the provider's message, and look into its console and status page."),
        lasts=_("unknown"),
    ),
    ErrorClass.NOT_AN_ERROR: Policy(
        responsible=None,
        advice=ChannelAdvice.LEAVE,
        wait_s=None,
        meaning=_("This is a success: nothing in it says that something went wrong."),
        remedy="",
        lasts="",
    ),
}


def duration_text(seconds: int, *, ends_at: datetime) -> str:
    """How long a wait is, in the active language; a moment in UTC when it is far away."""
    if seconds < _IN_SECONDS_S:
        return ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}
    if seconds < _IN_MINUTES_S:
        minutes = -(-seconds // 60)
        return ngettext("%(count)d minute", "%(count)d minutes", minutes) % {"count": minutes}
    return gettext("until %(time)s (UTC)") % {"time": ends_at.strftime("%Y-%m-%d %H:%M")}
