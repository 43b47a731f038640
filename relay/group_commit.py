"""Group commit: everything that waits becomes one transaction, as soon as the last one is durable."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class GroupCommit(Generic[Item, Result]):
    """Hands items to ``commit`` in batches, in their order, one batch at a time.

    There is no timer: a batch is what has gathered while the one before was committed, so
    that a lone call waits for nothing and a crowd shares its transactions.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[Item]], Sequence[Result | BaseException]],
        *,
        executor: Executor,
        max_size: int,
    ) -> None:
        """
        :param commit: runs in ``executor``; returns a result or an error for each item, in their order
        :param executor: its thread is not to be had for anything else while items keep coming
        """
        self._commit = commit
        self._executor = executor
        self._max_size = max_size
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._running: asyncio.Task[None] | None = None

    def submit(self, item: Item) -> asyncio.Future[Result]:
        """Queue an item; the future is done when its transaction is durable, or failed."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None:
            self._running = asyncio.create_task(self._run())
        return future

    async def drain(self) -> None:
        """Wait until everything queued so far is through."""
        while self._running is not None:
            await asyncio.wait([self._running])

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                await loop.run_in_executor(self._executor, self._commit_waiting, loop)
        finally:
            self._running = None

    def _commit_waiting(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the executor's thread, which takes the next batch without waiting for the event loop."""
        while self._waiting:
            size = min(len(self._waiting), self._max_size)
            batch = [self._waiting.popleft() for _ in range(size)]
            try:
                results = self._commit([item for item, _ in batch])
                resolved = list(zip(batch, results, strict=True))
            except Exception as exc:  # noqa: BLE001  whatever it was, nobody may be left waiting
                resolved = [(waiting, exc) for waiting in batch]
            loop.call_soon_threadsafe(_resolve_all, resolved)


async def wait_for(future: "asyncio.Future[Any]", seconds: float) -> None:
    """Return when it is done or the time is over: ``asyncio.wait`` for one, at half the price.

    The future goes on, also when whoever waits is cancelled.
    """
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[None] = loop.create_future()

    def wake(_done: "asyncio.Future[Any] | None" = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    timer = loop.call_later(seconds, wake)
    future.add_done_callback(wake)
    try:
        await waiter
    finally:
        timer.cancel()


def _resolve_all(
    resolved: "Sequence[tuple[tuple[object, asyncio.Future[Result]], Result | BaseException]]",
) -> None:
    for (_item, future), result in resolved:
        _resolve(future, result)


def _resolve(future: "asyncio.Future[Result]", result: Result | BaseException) -> None:
    if future.cancelled():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)
