"""Admit and settle by group commit, in a thread of its own so that the event loop never waits."""

import asyncio
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import structlog
from django.conf import settings
from django.db import InterfaceError, InternalError, OperationalError, connection

from billing.services import calls, holds
from billing.services.callers import Caller, check_caller, find_caller
from billing.services.config import Config, current_version
from billing.services.holds import Admission, AdmitRequest
from billing.services.settle import Settled, Settlement
from relay import metrics
from relay.balances import BalanceAsking
from relay.chat import ChatRequest
from relay.errors import CommitLostError, StoreUnavailableError, TooManyCallsError
from relay.group_commit import GroupCommit, wait_for
from relay.journal import Journal, JournalFullError, abandoned_count
from relay.planning import CallPlan, ConfigCache, StaleConfigError, plan_call
from relay.recovery import StreamSoFar, recover

logger = structlog.get_logger(__name__)

_AWAY = (OperationalError, InterfaceError, InternalError)
"""What passes by itself; ``InternalError`` is what PostgreSQL answers while it is a read-only stand-by."""
_ADMIT_SECONDS = 10
"""How long a call waits to be admitted; a database that says nothing is as good as away."""
_RETRY_SECONDS = 0.5
_TRIES = 3
Item = Settlement | AdmitRequest
Result = Settled | Admission


class Metering:
    """What a relay process has to do with the ledger, and what it keeps on disk while that is away."""

    def __init__(self, journal: Journal) -> None:
        """
        :param journal: of this process; what was admitted and is not in the ledger has a place in it
        """
        self._journal = journal
        metrics.watch(journal, abandoned=lambda: self.abandoned)
        self._config = ConfigCache()
        # One thread, one transaction at a time: two would only wait for each other's locks.
        writer = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        # Under load the writer never pauses; what is rare and short must not wait for it.
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="ledger-aside")
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self.abandoned = 0
        """Calls of dead processes that were found when somebody last looked, and are not dealt with yet."""
        self._unsettled: dict[str, Settlement] = {}
        self._has_closed = asyncio.Event()
        """Whether a call was closed since somebody looked."""
        size = settings.RELAY_GROUP_COMMIT_SIZE
        self._measured_commit = metrics.MeasuredCommit(self._commit)
        self._calls = GroupCommit(self._measured_commit, executor=writer, max_size=size)
        self._releases = GroupCommit(_release, executor=self._aside, max_size=size)
        self._syncs = GroupCommit(self._sync, executor=self._disk, max_size=size)
        self._balances = BalanceAsking(self._aside)

    @property
    def journal(self) -> Journal:
        """Of this process."""
        return self._journal

    @property
    def last_commit_at(self) -> float:
        """When the database last took a transaction, in seconds since 1970; 0 before the first one."""
        return self._measured_commit.last_at

    async def admit(
        self, *, request_id: str, key_hash: str, client_ip: str, request: ChatRequest
    ) -> tuple[Caller, CallPlan]:
        """Reserve what the call can cost.

        :raises DomainError: the refusal
        """
        request.prompt_bound(request.model)
        try:
            self._journal.open(request_id)
        except JournalFullError as exc:
            raise TooManyCallsError from exc

        def plan(caller: Caller, affordable: int, version: int) -> CallPlan:
            return plan_call(
                config=self._config.get(version),
                caller=caller,
                request=request,
                affordable=affordable,
                at=_now(),
            )

        seconds = settings.RELAY_CALL_SECONDS + settings.HOLD_GRACE_SECONDS
        submitted = self._calls.submit(
            AdmitRequest(
                request_id=request_id,
                key_hash=key_hash,
                client_ip=client_ip,
                model=request.model,
                plan=plan,
                expires_at=_now() + timedelta(seconds=seconds),
            )
        )
        is_wanted = False
        try:
            await wait_for(submitted, _ADMIT_SECONDS)
            if not submitted.done():
                raise StoreUnavailableError
            outcome = submitted.result()
            is_wanted = True
        finally:
            if not is_wanted:  # nobody will serve the call
                submitted.add_done_callback(partial(self._give_back, request_id))
        assert isinstance(outcome, Admission)  # noqa: S101  what comes of a request
        assert isinstance(outcome.plan, CallPlan)  # noqa: S101  it came from plan() above
        return outcome.caller, outcome.plan

    def begin_stream(self, request_id: str, stream: StreamSoFar) -> None:
        """Keep what a stream is charged should this process die, before anything of it is passed on."""
        self._journal.begin_serving(request_id, stream.to_record())

    def note_served(self, request_id: str, tokens: int) -> None:
        """Keep how much of a stream the caller has, before it is passed on."""
        self._journal.note_progress(request_id, tokens)

    def settle(self, settlement: Settlement) -> "asyncio.Future[Settled | None]":
        """Charge a call, however long the database is away and whether or not anybody waits for it.

        :returns: done as soon as the charge is durable: with what it came to when the ledger has it, with
            None when the database is away and the journal has it
        """
        charge: asyncio.Future[Settled | None] = asyncio.get_running_loop().create_future()
        self._unsettled[settlement.request_id] = settlement
        self._submit(settlement, charge)
        return charge

    def keep(self, settlement: Settlement) -> "asyncio.Future[None]":
        """Put a charge that the ledger does not have yet into the journal; done when it is durable."""
        self._journal.keep_served(settlement.request_id, settlement.to_record())
        return self._syncs.submit(settlement.request_id)

    def ask_for_balance(self, channel_id: int) -> None:
        """Have the provider asked what is left, as it says that there is nothing; returns at once."""
        self._balances.hurry(channel_id)

    async def identify(self, *, key_hash: str, client_ip: str) -> tuple[Caller, Config]:
        """Who is asking, and the configuration, for requests that cost nothing.

        :raises DomainError: if the token is not in order
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._aside, self._identify, key_hash, client_ip
        )

    async def drain(self) -> None:
        """Wait until every call is over, and in the ledger."""
        while self._journal.open_count:
            self._has_closed.clear()
            await self._has_closed.wait()

    async def close(self) -> None:
        """Leave what is not in the ledger to whoever finds the journal."""
        if self._unsettled:
            logger.warning("relay.stopped_unsettled", calls=len(self._unsettled))
        await asyncio.gather(*(self.keep(settlement) for settlement in self._unsettled.values()))
        await self._syncs.drain()
        self._journal.close()

    async def recover(self) -> int:
        """Settle what relay processes that died left in their journals.

        :returns: how many calls that were
        :raises StoreUnavailableError: if the database is away; what is left is left for the next time
        """
        return await asyncio.get_running_loop().run_in_executor(self._aside, self._recover)

    def _recover(self) -> int:
        folder = self._journal.path.parent
        self.abandoned = abandoned_count(folder)
        try:
            count = recover(folder, self._commit, batch_size=settings.RELAY_GROUP_COMMIT_SIZE)
        except _AWAY as exc:
            connection.close()
            raise StoreUnavailableError from exc
        self.abandoned = 0
        return count

    def _give_back(self, request_id: str, decided: "asyncio.Future[Any]") -> None:
        """Give back what a call that nobody serves may have got, however long the database is away."""
        error = decided.exception()
        if error is None or isinstance(error, CommitLostError):
            self._release(request_id)
        else:
            self._close_call(request_id)

    def _release(self, request_id: str) -> None:
        self._releases.submit(request_id).add_done_callback(partial(self._end_release, request_id))

    def _end_release(self, request_id: str, released: "asyncio.Future[None]") -> None:
        if isinstance(released.exception(), StoreUnavailableError):
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._release, request_id)
        else:
            self._close_call(request_id)

    def _close_call(self, request_id: str) -> None:
        self._journal.close_call(request_id)
        self._has_closed.set()

    def _submit(self, settlement: Settlement, charge: "asyncio.Future[Settled | None]") -> None:
        self._calls.submit(settlement).add_done_callback(partial(self._end, settlement, charge))

    def _end(
        self, settlement: Settlement, charge: "asyncio.Future[Settled | None]", tried: "asyncio.Future[Any]"
    ) -> None:
        error = tried.exception()
        if isinstance(error, StoreUnavailableError):
            metrics.SETTLE_RETRIES.inc()
            self._wait_for_database(settlement, charge)
            return
        metrics.note_settled(settlement.status, error)
        self._unsettled.pop(settlement.request_id, None)
        self._close_call(settlement.request_id)
        if charge.done():  # who waited for it gave up, or was told that the journal has it
            return
        if error is not None:
            charge.set_exception(error)
        else:
            charge.set_result(tried.result())

    def _wait_for_database(self, settlement: Settlement, charge: "asyncio.Future[Settled | None]") -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(_RETRY_SECONDS, self._submit, settlement, charge)
        if not charge.done():
            logger.warning("relay.settle_waits_for_database", request_id=settlement.request_id)
            self.keep(settlement).add_done_callback(partial(_end_without_figures, charge))

    def _sync(self, request_ids: Sequence[str]) -> Sequence[None]:
        try:
            self._journal.sync()
        except OSError:
            logger.exception("relay.journal_not_durable", calls=len(request_ids))
        return [None] * len(request_ids)

    def _commit(self, items: Sequence[Item], *, is_retry: bool = False) -> Sequence[Result | BaseException]:
        """One transaction for all; when one of them breaks it, each for itself, so that only it fails.

        :param is_retry: whether a transaction with them may have been committed
        """
        for tries_left in reversed(range(_TRIES)):
            is_connected = False
            try:
                connection.ensure_connection()
                is_connected = True
                return self._commit_all(items, is_retry=is_retry)
            except _AWAY:
                connection.close()
                is_retry = is_retry or is_connected
                if not tries_left:
                    logger.exception("relay.commit_failed", calls=len(items))
            except Exception as exc:  # the database's, or of numbers and texts that its driver cannot send
                if len(items) > 1:
                    return [result for item in items for result in self._commit([item], is_retry=is_retry)]
                if isinstance(items[0], Settlement):  # never lost: the whole charge is in the log
                    record = json.dumps(asdict(items[0]), default=str)
                    logger.exception("relay.settle_refused_by_database", settlement=record)
                    return [exc]
                return [CommitLostError() if is_retry else exc]
        return [CommitLostError() if is_retry else StoreUnavailableError() for _ in items]

    def _commit_all(self, items: Sequence[Item], *, is_retry: bool) -> Sequence[Result | BaseException]:
        settlements = [item for item in items if isinstance(item, Settlement)]
        requests = [item for item in items if isinstance(item, AdmitRequest)]
        while True:
            try:
                settled, decided = calls.commit(
                    settlements=settlements, requests=requests, at=_now(), is_retry=is_retry
                )
            except StaleConfigError:  # nothing was written
                self._config.refresh()
            else:
                charges, decisions = iter(settled), iter(decided)
                return [next(charges if isinstance(item, Settlement) else decisions) for item in items]

    def _identify(self, key_hash: str, client_ip: str) -> tuple[Caller, Config]:
        try:
            caller = find_caller(key_hash=key_hash)
            config = self._current_config()
        except _AWAY as exc:
            connection.close()
            raise StoreUnavailableError from exc
        return check_caller(caller=caller, client_ip=client_ip, at=_now()), config

    def _current_config(self) -> Config:
        version = current_version()
        try:
            return self._config.get(version)
        except StaleConfigError:
            self._config.refresh()
            return self._config.get(version)


def _end_without_figures(charge: "asyncio.Future[Settled | None]", _kept: "asyncio.Future[None]") -> None:
    if not charge.done():
        charge.set_result(None)


def _release(request_ids: Sequence[str]) -> Sequence[BaseException | None]:
    try:
        holds.release(request_ids=request_ids)
    except _AWAY:
        connection.close()
        logger.warning("relay.release_waits_for_database", calls=len(request_ids))
        return [StoreUnavailableError() for _ in request_ids]
    except Exception:  # the sweeper gives them back
        logger.exception("relay.release_failed", calls=len(request_ids))
    return [None] * len(request_ids)


def _now() -> datetime:
    return datetime.now(tz=UTC)
