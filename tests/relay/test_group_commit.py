"""Group commit: batches, order, and that nobody is left waiting or gets another's answer."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from relay.group_commit import GroupCommit

SECONDS = 20


class Gate:
    """A commit that stays inside each batch until the test lets it out."""

    def __init__(self) -> None:
        self.batches: list[list[Any]] = []
        self.entered = threading.Semaphore(0)
        self.leave = threading.Semaphore(0)

    def __call__(self, items: Sequence[Any]) -> list[Any]:
        self.batches.append(list(items))
        self.entered.release()
        assert self.leave.acquire(timeout=SECONDS)
        return [f"done {item}" for item in items]

    async def wait_until_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.acquire, timeout=SECONDS)

    def open(self) -> None:
        self.leave.release(1_000)


def doubled(items: Sequence[int]) -> list[int]:
    return [item * 2 for item in items]


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def run(scenario: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(scenario(), SECONDS))


def test_a_lone_item_is_committed_at_once_and_gets_its_result(executor) -> None:
    async def scenario() -> int:
        return await GroupCommit(doubled, executor=executor, max_size=10).submit(21)

    assert run(scenario) == 42


def test_each_caller_gets_the_result_of_their_own_item(executor) -> None:
    async def scenario() -> list[int]:
        group = GroupCommit(doubled, executor=executor, max_size=7)
        return await asyncio.gather(*(group.submit(item) for item in range(100)))

    assert run(scenario) == [item * 2 for item in range(100)]


def test_what_gathers_while_a_batch_runs_is_the_next_batch_in_its_order(executor) -> None:
    gate = Gate()

    async def scenario() -> list[str]:
        group = GroupCommit(gate, executor=executor, max_size=10)
        futures = [group.submit("first")]
        await gate.wait_until_entered()
        futures += [group.submit(name) for name in ("b", "a", "c")]
        gate.open()
        return await asyncio.gather(*futures)

    assert run(scenario) == ["done first", "done b", "done a", "done c"]
    assert gate.batches == [["first"], ["b", "a", "c"]]


def test_the_next_batch_does_not_wait_for_a_busy_event_loop(executor) -> None:
    gate = Gate()

    async def scenario() -> list[str]:
        group = GroupCommit(gate, executor=executor, max_size=1)
        futures = [group.submit("a"), group.submit("b")]
        await gate.wait_until_entered()
        gate.open()
        assert gate.entered.acquire(timeout=SECONDS), "the event loop, which waits here, was needed"
        return await asyncio.gather(*futures)

    assert run(scenario) == ["done a", "done b"]


def test_a_batch_is_never_larger_than_allowed(executor) -> None:
    sizes: list[int] = []

    def commit(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        return list(items)

    async def scenario() -> list[int]:
        group = GroupCommit(commit, executor=executor, max_size=4)
        return await asyncio.gather(*(group.submit(item) for item in range(10)))

    assert run(scenario) == list(range(10))
    assert sizes == [4, 4, 2]


def test_one_batch_runs_at_a_time_even_with_many_threads() -> None:
    inside = threading.Lock()

    async def scenario() -> list[int]:
        loop = asyncio.get_running_loop()

        def commit(items: Sequence[int]) -> list[int]:
            assert inside.acquire(blocking=False), "two batches ran at once"
            for _ in range(5):  # whatever else the event loop has to start, it starts now
                asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(SECONDS)
            inside.release()
            return list(items)

        with ThreadPoolExecutor(4) as pool:
            group = GroupCommit(commit, executor=pool, max_size=1)
            return await asyncio.gather(*(group.submit(item) for item in range(20)))

    assert run(scenario) == list(range(20))


def test_an_error_reaches_the_caller_it_belongs_to_and_no_other(executor) -> None:
    def commit(items: Sequence[str]) -> list[str | BaseException]:
        return [ValueError(item) if item.startswith("bad") else item for item in items]

    async def scenario() -> list[Any]:
        group = GroupCommit(commit, executor=executor, max_size=10)
        futures = [group.submit(item) for item in ("a", "bad one", "b", "bad two")]
        return await asyncio.gather(*futures, return_exceptions=True)

    a, one, b, two = run(scenario)
    assert (a, b) == ("a", "b")
    assert isinstance(one, ValueError)
    assert isinstance(two, ValueError)
    assert (str(one), str(two)) == ("bad one", "bad two")


def test_a_failed_transaction_fails_everyone_in_it_and_the_next_one_runs(executor) -> None:
    gate = Gate()

    def commit(items: Sequence[str]) -> list[str]:
        results = gate(items)
        if "poison" in items:
            raise OSError("the disk is full")
        return results

    async def scenario() -> list[Any]:
        group = GroupCommit(commit, executor=executor, max_size=2)
        futures = [group.submit(item) for item in ("poison", "victim", "later")]
        gate.open()
        return await asyncio.gather(*futures, return_exceptions=True)

    poison, victim, later = run(scenario)
    assert isinstance(poison, OSError)
    assert isinstance(victim, OSError)
    assert later == "done later"


@pytest.mark.parametrize("results", [[], ["one"], ["one", "two", "three"]])
def test_a_commit_that_does_not_answer_for_each_item_leaves_nobody_waiting(executor, results) -> None:
    async def scenario() -> list[Any]:
        group = GroupCommit(lambda _items: results, executor=executor, max_size=10)
        return await asyncio.gather(group.submit("a"), group.submit("b"), return_exceptions=True)

    assert all(isinstance(result, ValueError) for result in run(scenario))


def test_a_caller_who_gave_up_is_committed_all_the_same_and_disturbs_nobody(executor) -> None:
    gate = Gate()

    async def scenario() -> list[Any]:
        group = GroupCommit(gate, executor=executor, max_size=10)
        running = group.submit("running")
        await gate.wait_until_entered()
        waiting, patient = group.submit("waiting"), group.submit("patient")
        running.cancel()
        waiting.cancel()
        gate.open()
        await group.drain()
        return [running.cancelled(), waiting.cancelled(), await patient]

    assert run(scenario) == [True, True, "done patient"]
    assert gate.batches == [["running"], ["waiting", "patient"]]


def test_draining_waits_for_everything_that_was_queued(executor) -> None:
    gate = Gate()

    async def scenario() -> list[bool]:
        group = GroupCommit(gate, executor=executor, max_size=1)
        futures = [group.submit(item) for item in range(3)]
        await gate.wait_until_entered()
        gate.open()
        await group.drain()
        return [future.done() for future in futures]

    assert run(scenario) == [True, True, True]


def test_draining_nothing_returns_at_once(executor) -> None:
    async def scenario() -> None:
        group = GroupCommit(doubled, executor=executor, max_size=1)
        await group.drain()
        await group.submit(1)
        await group.drain()

    run(scenario)


def test_a_group_that_came_to_rest_starts_again(executor) -> None:
    async def scenario() -> list[int]:
        group = GroupCommit(doubled, executor=executor, max_size=10)
        first = await group.submit(1)
        await group.drain()
        return [first, await group.submit(2)]

    assert run(scenario) == [2, 4]


def test_what_is_submitted_in_answer_to_a_result_is_committed_too(executor) -> None:
    async def scenario() -> int:
        group = GroupCommit(doubled, executor=executor, max_size=10)
        result = 1
        for _ in range(20):
            result = await group.submit(result) % 1_000 + 1
        return result

    expected = 1
    for _ in range(20):
        expected = expected * 2 % 1_000 + 1
    assert run(scenario) == expected
