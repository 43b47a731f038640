"""What a relay process counts for ``/metrics`` (docs/metrics.md).

A count costs less than a microsecond and no system call: a call takes two, and a transaction one more. What
the journal knows anyway is asked for when somebody looks.
"""

import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from billing.models import CallStatus
from oneapi_admin.lib.errors import DomainError
from relay.errors import StoreUnavailableError
from relay.journal import Journal

Item = TypeVar("Item")
Result = TypeVar("Result")

disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()

ADMITTED = Counter(
    "oneapi_relay_calls_admitted", "Calls that were admitted: their quota was reserved.", registry=REGISTRY
)
REFUSED = Counter(
    "oneapi_relay_calls_refused",
    "Calls that were refused before anything was reserved, by the error's code.",
    ["code"],
    registry=REGISTRY,
)
SETTLED = Counter(
    "oneapi_relay_calls_settled",
    "Calls that are in the ledger, by how they ended: ok, failed, interrupted or disconnected.",
    ["status"],
    registry=REGISTRY,
)
SETTLE_RETRIES = Counter(
    "oneapi_relay_settle_retries",
    "Times that a charge found the database away and has to be tried again.",
    registry=REGISTRY,
)
SETTLE_REFUSALS = Counter(
    "oneapi_relay_settle_refusals",
    "Charges that the database refused for good; each is in the log with all that is needed to post it.",
    registry=REGISTRY,
)
RECOVERED = Counter(
    "oneapi_relay_calls_recovered",
    "Calls of processes that died, charged or given back from the journals they left.",
    registry=REGISTRY,
)
UPSTREAM_FAILURES = Counter(
    "oneapi_relay_upstream_failures",
    "Times that a channel did not serve a call to its end, by code; several for a call that failed over.",
    ["code"],
    registry=REGISTRY,
)
IN_FLIGHT = Gauge(
    "oneapi_relay_calls_in_flight", "Calls that are being admitted, served or charged.", registry=REGISTRY
)
SLOTS_USED = Gauge(
    "oneapi_relay_journal_slots_used", "Places of the journal that are taken.", registry=REGISTRY
)
SLOTS = Gauge(
    "oneapi_relay_journal_slots",
    "Places that the journal has; when all are taken, calls are refused.",
    registry=REGISTRY,
)
WAITING = Gauge(
    "oneapi_relay_journal_calls_waiting",
    "Calls that are over and wait in the journal for the database to charge them.",
    registry=REGISTRY,
)
ABANDONED = Gauge(
    "oneapi_relay_journal_calls_abandoned",
    "Calls in the journals of dead processes of this machine that are to be charged or given back. Several"
    " processes see the same ones: take the largest value, not the sum.",
    registry=REGISTRY,
)
COMMIT_SECONDS = Histogram(
    "oneapi_relay_commit_seconds",
    "Time that one transaction takes, with its retries.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
    registry=REGISTRY,
)
LAST_COMMIT = Gauge(
    "oneapi_relay_last_commit_timestamp_seconds",
    "When the last transaction succeeded; 0 before the first one.",
    registry=REGISTRY,
)
_SETTLED_AS = {status: SETTLED.labels(status) for status in CallStatus.values}


def watch(journal: Journal, *, abandoned: Callable[[], int]) -> None:
    """Tell of this journal from now on, and of those that dead processes left."""
    ABANDONED.set_function(abandoned)
    SLOTS_USED.set_function(lambda: journal.open_count)
    SLOTS.set_function(lambda: journal.capacity)
    WAITING.set_function(lambda: journal.served_count)
    IN_FLIGHT.set_function(lambda: journal.open_count - journal.served_count)


def note_refusal(error: DomainError) -> None:
    REFUSED.labels(type(error).code).inc()


def note_settled(status: str, error: BaseException | None) -> None:
    """A call is in the ledger, or the database refused it for good."""
    if error is None:
        _SETTLED_AS[status].inc()
    else:
        SETTLE_REFUSALS.inc()


def note_upstream_failure(error: DomainError) -> None:
    """A channel did not serve a call. The code is ours: there is no end of those that providers make up."""
    UPSTREAM_FAILURES.labels(type(error).code).inc()


class MeasuredCommit(Generic[Item, Result]):
    """A group commit's transaction, measured; a process has one."""

    def __init__(self, commit: Callable[[Sequence[Item]], Sequence[Result]]) -> None:
        self._commit = commit
        self.last_at = 0.0
        """When the database last took one, in seconds since 1970."""
        LAST_COMMIT.set_function(lambda: self.last_at)

    def __call__(self, items: Sequence[Item]) -> Sequence[Result]:
        started = time.perf_counter()
        results = self._commit(items)
        COMMIT_SECONDS.observe(time.perf_counter() - started)
        if not isinstance(results[0], StoreUnavailableError):  # that happens to all of them together
            self.last_at = time.time()
        return results
