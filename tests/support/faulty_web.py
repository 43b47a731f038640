"""The product's web server with the faults that the environment variable ``FAULTS`` names.

A fault is a patch of one function, so that a process dies, or is lied to, at an exact point.
"""

import os
import resource
import signal
from collections.abc import Callable
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, NoReturn, Self

from django.conf import settings

Fault = Callable[[], None]
_faults: dict[str, Fault] = {}


def fault(function: Fault) -> Fault:
    _faults[function.__name__] = function
    return function


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


@fault
def impatient() -> None:
    """Waits for the database for about a second only, wherever the product waits for longer."""
    from relay import forward, metering

    metering._ADMIT_SECONDS = 1  # type: ignore[misc]
    forward._SETTLE_SECONDS = 1  # type: ignore[misc]


@fault
def dies_before_charging() -> None:
    _around_charging(before=die)


@fault
def dies_after_charging() -> None:
    _around_charging(after=die)


@fault
def dies_after_charging_once() -> None:
    """In the second transaction that charges calls."""
    seen: list[None] = []

    def count() -> None:
        seen.append(None)
        if len(seen) == 2:
            die()

    _around_charging(before=count)


@fault
def gives_charges_up() -> None:
    """A charge that the database cannot take is neither tried again nor kept."""
    from relay.metering import Metering

    def give_up(_self: Metering, _settlement: Any, charge: Any) -> None:
        charge.set_result(None)

    Metering._wait_for_database = give_up  # type: ignore[method-assign]


@fault
def charges_only_what_is_held() -> None:
    """A call whose hold is gone is as good as charged."""
    from billing.models import Hold
    from billing.services import calls

    commit = calls.commit

    def commit_held(*, settlements: Any = (), **batch: Any) -> Any:
        held = Hold.objects.filter(request_id__in=[call.request_id for call in settlements])
        known = set(held.values_list("request_id", flat=True))
        settled, decided = commit(
            settlements=[call for call in settlements if call.request_id in known], **batch
        )
        by_id = dict(zip([c.request_id for c in settlements if c.request_id in known], settled, strict=True))
        return [by_id.get(call.request_id) for call in settlements], decided

    calls.commit = commit_held


@fault
def forgets_what_it_charged() -> None:
    """Takes what a call costs as often as the call is handed in."""
    from billing.services import calls

    find_charged, record = calls.find_charged, calls.record

    def record_new(batch: Any, handed_in: Any) -> None:
        known = find_charged(batch, {call.request_id for call in handed_in})
        if new := [call for call in handed_in if call.request_id not in known]:
            record(batch, new)

    calls.find_charged = lambda *_: {}
    calls.record = record_new


@fault
def has_no_room() -> None:
    """No file of this process can grow beyond a mebibyte."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))


@fault
def has_a_clock_that_is_set() -> None:
    """Its wall clock is off by as many seconds as the file in ``CLOCK`` says."""
    import relay.calls
    import relay.metering

    path = Path(os.environ["CLOCK"])

    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(datetime.now(tz).timestamp() + float(path.read_text()), tz)

    relay.calls.datetime = relay.metering.datetime = Clock  # type: ignore[attr-defined,misc]


def _around_charging(
    *, before: Callable[[], object] = lambda: None, after: Callable[[], object] = lambda: None
) -> None:
    from billing.services import calls

    commit = calls.commit

    def watched(**batch: Any) -> Any:
        if batch["settlements"]:
            before()
        result = commit(**batch)
        if batch["settlements"]:
            after()
        return result

    calls.commit = watched


def main() -> None:
    options = settings.DATABASES["default"]["OPTIONS"]
    if "timeout" in options:  # SQLite: how long it waits for another writer
        options["timeout"] = float(os.environ.get("BUSY_SECONDS", options["timeout"]))

    from oneapi_admin.supervisor import web

    for name in os.environ["FAULTS"].split():
        _faults[name]()
    web.main()


if __name__ == "__main__":
    main()
