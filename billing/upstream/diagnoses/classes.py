"""The few things that can be wrong, whatever words a provider has for them."""

from enum import StrEnum


class ErrorClass(StrEnum):
    """What happened."""

    RATE_LIMITED = "rate_limited"
    """Too much within seconds or a minute."""
    WINDOW_QUOTA = "window_quota"
    """The allowance of a day, of five hours, of a week is used up."""
    SPEND_LIMIT = "spend_limit"
    """A cap on what may be spent is reached: of the account, a project or the key."""
    CREDIT_EXHAUSTED = "credit_exhausted"
    """The prepaid money is gone, or a bill is unpaid."""
    PLAN_DENIED = "plan_denied"
    """The account may not use this model, feature or region."""
    AUTH_INVALID = "auth_invalid"
    """The key is wrong, revoked or of another region."""
    ACCOUNT_SUSPENDED = "account_suspended"
    OVERLOADED = "overloaded"
    """The provider cannot keep up, or broke."""
    TOO_LARGE = "too_large"
    """This request does not fit, however long one waits."""
    BAD_REQUEST = "bad_request"
    UNKNOWN = "unknown"
    NOT_AN_ERROR = "not_an_error"


class Responsible(StrEnum):
    """Who can do something about it."""

    CALLER = "caller"
    OPERATOR = "operator"
    PROVIDER = "provider"


class ChannelAdvice(StrEnum):
    """What to do with the channel. Nothing is disabled on a guess: what is only likely pauses it."""

    PAUSE = "pause"
    DISABLE = "disable"
    LEAVE = "leave"


class Certainty(StrEnum):
    CERTAIN = "certain"
    LIKELY = "likely"
    UNKNOWN = "unknown"


class Until(StrEnum):
    """Moments at which providers begin to count anew."""

    NEXT_MONTH = "next_month"
    """00:00 UTC on the first."""
    NEXT_DAY = "next_day"
    """00:00 UTC."""
    NEXT_PACIFIC_DAY = "next_pacific_day"
    """00:00 in Los Angeles."""
