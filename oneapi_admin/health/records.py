"""What the database tells: both audits, and what should have been done by now."""

from datetime import datetime, timedelta
from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.services import audit_check
from billing.queries.backlog import Backlog, backlog
from billing.services import audit
from oneapi_admin.health.lines import Line, State, duration

_OLD: Final = timedelta(hours=36)
"""Both run every night."""


def record_lines(at: datetime) -> list[Line]:
    found = backlog(at=at)
    return [_ledger_line(at), _audit_log_line(at), _holds_line(found), _webhooks_line(found)]


def _ledger_line(at: datetime) -> Line:
    run = audit.last_result()
    broken = [check["code"] for check in run.checks if check["broken"]] if run else []
    state, value, advice = _of_nightly(
        at=at,
        finished_at=run.finished_at if run else None,
        is_good=run is None or run.is_clean,
        good=_("everything adds up"),
        bad=_("%(checks)s: does not add up") % {"checks": ", ".join(broken)},
        what_to_do=_("Run manage.py audit_ledger: it names the rows. Correct them with new entries only."),
    )
    return Line(
        code="ledger_audit",
        title=_("Ledger audit"),
        state=state,
        value=value,
        advice=advice,
        facts={
            "finished_at": run.finished_at.timestamp() if run else None,
            "is_clean": run.is_clean if run else None,
        },
    )


def _audit_log_line(at: datetime) -> Line:
    check = audit_check.last_result()
    state, value, advice = _of_nightly(
        at=at,
        finished_at=check.finished_at if check else None,
        is_good=check is None or check.is_intact,
        good=_("nobody touched it"),
        bad=_("event %(number)s is not in order") % {"number": check.event_id if check else ""},
        what_to_do=_("Run manage.py verify_audit_log, and find out who could write to the database."),
    )
    return Line(
        code="audit_log",
        title=_("Audit log"),
        state=state,
        value=value,
        advice=advice,
        facts={
            "finished_at": check.finished_at.timestamp() if check else None,
            "is_intact": check.is_intact if check else None,
            "events": check.checked if check else None,
        },
    )


def _of_nightly(
    *, at: datetime, finished_at: datetime | None, is_good: bool, good: str, bad: str, what_to_do: str
) -> tuple[State, str, str]:
    """State, value and advice of what runs every night."""
    if finished_at is None:
        return State.OK, _("not run yet; it runs every night"), ""
    age = at - finished_at
    text = _("%(verdict)s, %(time)s ago") % {
        "verdict": good if is_good else bad,
        "time": duration(age.total_seconds()),
    }
    if not is_good:
        return State.ERROR, text, what_to_do
    if age > _OLD:
        return State.WARNING, text, _("It should have run since: see whether worker and scheduler run.")
    return State.OK, text, ""


def _holds_line(found: Backlog) -> Line:
    is_late = bool(found.overdue_holds)
    text = _("%(count)s open") % {"count": found.open_holds}
    if is_late:
        text += _(", ") + _("%(count)s older than the longest call") % {"count": found.overdue_holds}
    return Line(
        code="holds",
        title=_("Holds"),
        state=State.WARNING if is_late else State.OK,
        value=text,
        advice=_("A job gives them back several times a minute: see whether worker and scheduler run.")
        if is_late
        else "",
        facts={"open": found.open_holds, "overdue": found.overdue_holds},
    )


def _webhooks_line(found: Backlog) -> Line:
    is_late = bool(found.overdue_deliveries)
    pending, overdue = found.pending_deliveries, found.overdue_deliveries
    text = ngettext("%(count)s delivery waits", "%(count)s deliveries wait", pending) % {"count": pending}
    if is_late:
        text += _(", ") + _("%(count)s longer than it should") % {"count": overdue}
    return Line(
        code="webhooks",
        title=_("Webhooks"),
        state=State.WARNING if is_late else State.OK,
        value=text,
        advice=_("The receiver is slow, or no worker sends them: look at the webhook’s log first.")
        if is_late
        else "",
        facts={"pending": pending, "overdue": overdue},
    )
