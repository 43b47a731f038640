"""The job worker and beat, by the job that beat asks for every ten seconds."""

import time
from typing import Final

from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from oneapi_admin.health.lines import Line, State, duration
from oneapi_admin.lib.vitals import Vitals

_LATE_S: Final = 60
_TOO_LATE_S: Final = 600
_MANY_JOBS: Final = 200


def job_lines(vitals: Vitals) -> list[Line]:
    """Beat, then worker; nobody knows them where there is no Redis at all."""
    if not settings.REDIS_URL:
        return []
    return [_beat_line(vitals), _worker_line(vitals)]


def _beat_line(vitals: Vitals) -> Line:
    seen = _last(vitals, "beat")
    state = _state(vitals, seen)
    return Line(
        code="beat",
        title=_("Scheduler"),
        state=state,
        value=_seen_text(vitals, seen),
        advice=_advice(
            vitals, state, _("Nothing is done on schedule: start the role “beat” on one machine.")
        ),
        facts={"seen_at": seen},
    )


def _worker_line(vitals: Vitals) -> Line:
    seen = _last(vitals, "worker")
    state = _state(vitals, seen)
    queued = vitals.store.queued_jobs if vitals.store else 0
    advice = _advice(vitals, state, _("Balances, webhooks and expired holds wait: start the role “worker”."))
    if state == State.OK and queued > _MANY_JOBS:
        state, advice = State.WARNING, _("Jobs pile up: start more workers.")
    value = _seen_text(vitals, seen)
    if queued:
        value += _(", ") + ngettext("%(count)s job waits", "%(count)s jobs wait", queued) % {"count": queued}
    return Line(
        code="worker",
        title=_("Job worker"),
        state=state,
        value=value,
        advice=advice,
        facts={"seen_at": seen, "queued": queued},
    )


def _last(vitals: Vitals, kind: str) -> float | None:
    return max((vital.at for vital in vitals.of(kind)), default=None)


def _state(vitals: Vitals, seen: float | None) -> State:
    if vitals.store is None:
        return State.WARNING
    if seen is None or time.time() - seen > _TOO_LATE_S:
        return State.ERROR
    return State.WARNING if time.time() - seen > _LATE_S else State.OK


def _advice(vitals: Vitals, state: State, advice: str) -> str:
    if vitals.store is None:
        return _("It is known through Redis only, which does not answer.")
    return "" if state == State.OK else advice


def _seen_text(vitals: Vitals, seen: float | None) -> str:
    if vitals.store is None:
        return _("not known")
    if seen is None:
        return _("not seen for ten minutes")
    return _("seen %(time)s ago") % {"time": duration(time.time() - seen)}
