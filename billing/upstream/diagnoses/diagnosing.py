"""What an error of a provider means, and what to do."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from billing.upstream.diagnoses.bodies import ErrorBody, read_body
from billing.upstream.diagnoses.classes import Certainty, ChannelAdvice, ErrorClass, Responsible
from billing.upstream.diagnoses.delays import BEIJING, LONGEST_S, read_delay, until_seconds
from billing.upstream.diagnoses.providers import PROVIDERS, authors_of, provider_at, sender_of
from billing.upstream.diagnoses.redaction import redact
from billing.upstream.diagnoses.rule import Rule
from billing.upstream.diagnoses.rules import RULES, STATUS_RULES
from billing.upstream.diagnoses.words import POLICIES, Policy, duration_text

LONGEST_ECHO = 500
_WRONG_REQUEST = (400, 422)
_HAS_WAITS = (ErrorClass.RATE_LIMITED, ErrorClass.WINDOW_QUOTA, ErrorClass.OVERLOADED)
_LATER_IN_DAYS = (ErrorClass.SPEND_LIMIT,)
"""Over at a moment that the provider may name, but not by the wait of a limited rate."""
_NOTHING = Rule(name="none", means=ErrorClass.UNKNOWN, source=""), Certainty.UNKNOWN
_SUCCESS = Rule(
    name="status.success", means=ErrorClass.NOT_AN_ERROR, source="https://www.rfc-editor.org/rfc/rfc9110"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """What a diagnosis goes by. Texts are the provider's, without what looks like a key."""

    rule: str
    source: str
    """The page that the rule was taken from; empty where none fits."""
    code: str
    type: str
    param: str | None
    message: str
    is_structured: bool
    """Whether it was told in fields, with a message or a code; else the message is the beginning of whatever
    came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What an error means, for programs by its fields and for people in the active language."""

    error_class: ErrorClass
    certainty: Certainty
    provider: str | None
    """Who sent it, by the names of ``PROVIDERS``, where that is known."""
    matched: Match
    retry_after_s: int | None
    """After how long the same call may succeed; None: not before something is done, or never."""
    ends_at: datetime | None
    """When it is over, where that is known; ``retry_after_s`` is a day at most."""
    at: datetime
    is_hearsay: bool
    """Whether only the words of an answer to a wrong request say so, which may be a caller's."""
    _rule: Rule

    @property
    def is_retryable(self) -> bool:
        """Whether the same call may succeed later without anybody changing anything."""
        return self.retry_after_s is not None

    @property
    def responsible(self) -> Responsible | None:
        """Whose affair it is; None where that is unknown or nothing is wrong."""
        return self._rule.responsible or self._policy.responsible

    @property
    def advice(self) -> ChannelAdvice:
        """What to do with the channel."""
        advice = self._policy.advice
        is_sure = self.certainty == Certainty.CERTAIN
        return ChannelAdvice.PAUSE if advice == ChannelAdvice.DISABLE and not is_sure else advice

    @property
    def is_out_of_money(self) -> bool:
        """Whether the account's balance or limit should be looked at."""
        is_of_money = self.error_class in (ErrorClass.CREDIT_EXHAUSTED, ErrorClass.SPEND_LIMIT)
        return is_of_money and not self.is_hearsay

    @property
    def meaning(self) -> str:
        return str(self._rule.meaning or self._policy.meaning)

    @property
    def remedy(self) -> str:
        return str(self._rule.remedy or self._policy.remedy)

    @property
    def lasts(self) -> str:
        """How long it lasts, in words; empty when nothing is wrong."""
        if self.ends_at is not None:
            seconds = math.ceil((self.ends_at - self.at).total_seconds())
            return duration_text(seconds, ends_at=self.ends_at.astimezone(UTC))
        return str(self._rule.lasts or self._policy.lasts)

    @property
    def _policy(self) -> Policy:
        return POLICIES[self.error_class]


def diagnose(
    *,
    status: int,
    body: bytes | str,
    at: datetime,
    headers: Mapping[str, str] | None = None,
    provider: str | None = None,
    base_url: str = "",
) -> Diagnosis:
    """Say what an answer of a provider means. Nothing that it may contain makes this fail.

    :param at: when it arrived; waits count from then
    :param headers: names in any case
    :param provider: one of ``PROVIDERS``, where it is known; else the address, the headers and the body tell
    :param base_url: where the answer came from; of use without ``provider``
    """
    lowered = {name.lower(): value.strip() for name, value in (headers or {}).items()}
    sender = provider or provider_at(base_url) or sender_of(lowered)
    is_sender_known = sender is not None and not PROVIDERS[sender].is_relay
    read = read_body(body, is_passed_on=not is_sender_known)
    authors = authors_of(read.text)
    known = {sender} if sender else set()
    if not is_sender_known:
        known.update(authors)
    rule, certainty, layer = _matched(status, read, frozenset(known), is_sender_known=is_sender_known)
    wait_s, ends_at = _wait(rule, lowered, read, known, at)
    return Diagnosis(
        error_class=rule.means,
        certainty=certainty,
        provider=sender or next(iter(authors), None),
        matched=_match(rule, layer),
        retry_after_s=wait_s,
        ends_at=ends_at,
        at=at,
        is_hearsay=status in _WRONG_REQUEST and (rule.is_of_words or layer is not read),
        _rule=rule,
    )


def _matched(
    status: int, body: ErrorBody, known: frozenset[str], *, is_sender_known: bool
) -> tuple[Rule, Certainty, ErrorBody]:
    """The first rule that fits, how sure it is, and the error that it fits: the outer one or one within."""
    if 200 <= status < 300 and not body.is_error:
        return _SUCCESS, Certainty.CERTAIN, body
    for depth, layer in enumerate(body.layers):
        about = known | set(authors_of(layer.text)) if depth else known
        found = _first(RULES, _status_of(layer, status), layer, about, is_sender_known=is_sender_known)
        if found is not None:
            rule, certainty = found
            is_inner = depth > 0 and certainty == Certainty.CERTAIN
            return rule, Certainty.LIKELY if is_inner else certainty, layer
    found = _first(STATUS_RULES, _status_of(body, status), body, known, is_sender_known=is_sender_known)
    return *(found or _NOTHING), body


def _first(
    rules: tuple[Rule, ...], status: int, body: ErrorBody, known: frozenset[str], *, is_sender_known: bool
) -> tuple[Rule, Certainty] | None:
    """The first rule that fits, and how sure it is."""
    is_author_known = any(not PROVIDERS[name].is_relay for name in known)
    for rule in rules:
        if rule.fits(status=status, body=body):
            certainty = rule.sureness(known, is_author_known=is_author_known, is_sender_known=is_sender_known)
            if certainty is not None:
                return rule, certainty
    return None


def _status_of(layer: ErrorBody, status: int) -> int:
    """That of the answer, but for an error told with success, which may name its own."""
    is_status = len(layer.code) == 3 and layer.code.isdecimal() and 400 <= int(layer.code) < 600
    return int(layer.code) if status < 300 and is_status else status


def _wait(
    rule: Rule, headers: Mapping[str, str], body: ErrorBody, known: set[str], at: datetime
) -> tuple[int | None, datetime | None]:
    """After how long the same call may succeed, and when it is over, as far as that is known."""
    policy = POLICIES[rule.means]
    told = None
    if not rule.is_delay_wrong and rule.means in (*_HAS_WAITS, *_LATER_IN_DAYS):
        heard = headers if rule.means in _HAS_WAITS else {}
        told = read_delay(heard, body, at=at, zone=BEIJING if "zhipu" in known else UTC)
    if told is None and rule.until is not None:
        seconds = until_seconds(rule.until, at=at)
    elif told is None and rule.wait_s is None and rule.floor_s == 1:
        return policy.wait_s, None
    elif told is None:
        seconds = rule.wait_s or rule.floor_s
    else:
        seconds = told
    seconds = max(math.ceil(seconds), rule.floor_s)
    return min(seconds, LONGEST_S), at + timedelta(seconds=seconds)


def _match(rule: Rule, body: ErrorBody) -> Match:
    return Match(
        rule=rule.name,
        source=rule.source,
        code=redact(body.code),
        type=redact(body.type),
        param=None if body.param is None else redact(body.param),
        message=redact(body.message or body.plain, length=LONGEST_ECHO),
        is_structured=bool(body.message or body.code or body.type),
    )
