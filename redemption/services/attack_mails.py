"""Mails that tell operators of an attack: written down in its transaction, sent by a job afterwards."""

import time
from datetime import datetime, timedelta
from smtplib import SMTPException
from typing import Final

import structlog
from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import F
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts.models import User
from oneapi_admin.lib.jobs import enqueue
from redemption.models import AttackMail, CodeAttack

logger = structlog.get_logger(__name__)

SEND: Final = "redemption.send_attack_mails"
"""The job that sends what is due."""
RETRY_AFTER_S: Final = (60, 300, 1800, 7200, 21_600)
"""How long to wait after each attempt that failed; then it is over."""
CLAIMED_FOR: Final = timedelta(minutes=1)
"""Longer than the longest attempt: whoever claimed a mail and has not reported by then is dead."""


def address(attack: CodeAttack, *, at: datetime) -> None:
    """Have every operator who can read mail told, once; call it in the attack's transaction."""
    operators = User.objects.operators()
    AttackMail.objects.bulk_create(
        AttackMail(attack=attack, user=operator, next_attempt_at=at)
        for operator in operators.exclude(email="").order_by("pk")
    )
    transaction.on_commit(_ask, robust=True)


def are_due(*, at: datetime) -> bool:
    return AttackMail.objects.filter(next_attempt_at__lte=at).exists()


def send_due(*, at: datetime) -> None:
    """Send what is due, with no transaction open; any number of processes may do so at the same time."""
    began = time.monotonic()
    due = AttackMail.objects.filter(next_attempt_at__lte=at).select_related("attack", "user")
    for mail in due.order_by("next_attempt_at", "pk"):
        now = at + timedelta(seconds=int(time.monotonic() - began))  # those before may have taken long
        if _claim(mail, now):
            _send(mail, now)


def _ask() -> None:
    enqueue(SEND)


def _claim(mail: AttackMail, at: datetime) -> bool:
    """Take a mail for oneself, unless somebody else has."""
    until = at + CLAIMED_FOR
    unclaimed = AttackMail.objects.filter(pk=mail.pk, next_attempt_at=mail.next_attempt_at)
    if not unclaimed.update(next_attempt_at=until, attempts=F("attempts") + 1):
        return False
    mail.next_attempt_at, mail.attempts = until, mail.attempts + 1
    return True


def _send(mail: AttackMail, at: datetime) -> None:
    """Make one attempt and note the outcome, unless somebody else has taken the mail over."""
    sent_at, next_attempt_at = None, None
    if mail.user.is_active and mail.user.email:
        try:
            _send_to(mail.user, mail.attack)
            sent_at = at
        except (SMTPException, OSError) as exc:
            next_attempt_at = _next_attempt(mail, at)
            logger.warning("redemption.attack_mail_failed", user_id=mail.user_id, error=repr(exc))
    mine = AttackMail.objects.filter(pk=mail.pk, next_attempt_at=mail.next_attempt_at, attempts=mail.attempts)
    mine.update(sent_at=sent_at, next_attempt_at=next_attempt_at)


def _next_attempt(mail: AttackMail, at: datetime) -> datetime | None:
    if mail.attempts > len(RETRY_AFTER_S):
        return None
    return at + timedelta(seconds=RETRY_AFTER_S[mail.attempts - 1])


def _send_to(user: User, attack: CodeAttack) -> None:
    """
    :raises SMTPException: if the server does not take it
    :raises OSError: if the server cannot be reached
    """
    known = dict(settings.LANGUAGES)
    language = user.language if user.language in known else settings.LANGUAGE_CODE
    with translation.override(language):
        subject = _("Somebody is guessing redemption codes")
        send_mail(f"{settings.ACCOUNT_EMAIL_SUBJECT_PREFIX}{subject}", _text(attack), None, [user.email])


def _text(attack: CodeAttack) -> str:
    counts = {
        "refused": attack.refused_count,
        "throttled": attack.throttled_count,
        "users": attack.user_count,
        "addresses": attack.address_count,
        "time": date_format(timezone.localtime(attack.started_at), "Y-m-d H:i T"),
    }
    paragraphs = [
        _(
            "At %(time)s it was noticed that somebody is guessing redemption codes. Within an hour"
            " %(refused)s codes were refused and %(throttled)s attempts throttled; user accounts:"
            " %(users)s, addresses: %(addresses)s."
        )
        % counts,
        _(
            "Codes have 80 random bits and wrong ones are throttled, so guessing will not succeed. The health"
            " page lists the accounts: disable those that you do not trust."
        ),
    ]
    if settings.BASE_URL:
        paragraphs.append(settings.BASE_URL + reverse("ops:health"))
    paragraphs.append(_("You get one message for each attack; it is over when nobody tried for an hour."))
    return "\n\n".join(paragraphs) + "\n"
