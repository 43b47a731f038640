"""The parent's loop: start the children, wait for a reason to stop, stop them in order."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from oneapi_admin.supervisor.children import Child, ChildKeepsDyingError, ChildSpec

READY_SECONDS = 60.0
"""How long the next stage waits for one to be ready before it starts anyway."""
HURRY_SECONDS = 5.0
"""How long a child may still take once it was told to hurry."""


@dataclass(slots=True, kw_only=True)
class Stage:
    """Children that are started together and stopped together."""

    specs: Sequence[ChildSpec]
    children: list[Child] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self) -> None:
        self.children = [Child(spec) for spec in self.specs]
        self.tasks = [asyncio.create_task(child.run()) for child in self.children]

    async def wait_until_ready(self) -> None:
        """Wait for the children that say when they serve."""
        awaited = [
            child.ready.wait() for child in self.children if child.spec.says_ready or child.spec.ready_line
        ]
        await asyncio.gather(*awaited)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """The same stages in the order of starting and in that of stopping."""

    start: Sequence[Stage]
    stop: Sequence[Stage]


async def supervise(stages: Stages, *, on_ready: Callable[[], None], on_stopping: Callable[[], None]) -> str:
    """Run the stages until SIGTERM, SIGINT or SIGHUP, or until a child keeps dying.

    :param on_ready: called once when every child that says so is ready
    :param on_stopping: called when stopping begins
    :returns: why it had to give up; empty after a stop that was asked for
    """
    stop, hurry = asyncio.Event(), asyncio.Event()

    def interrupt() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, interrupt)
    # A second one of these is no hurry: whoever signals a process group may well reach us twice.
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGHUP, stop.set)

    stopping = asyncio.create_task(stop.wait())
    try:
        trouble = await _start(stages.start, stopping)
        if not trouble and not stop.is_set():
            on_ready()
            trouble = await _until_stop_or_death(stages.start, stopping)
    finally:
        stop.set()  # from now on an interrupt means hurry
        on_stopping()
        for stage in stages.stop:
            await _stop(stage, hurry)
        await stopping
    return trouble


async def _start(stages: Sequence[Stage], stopping: "asyncio.Task[bool]") -> str:
    for stage in stages:
        stage.start()
        ready = asyncio.create_task(stage.wait_until_ready())
        await asyncio.wait(
            [ready, stopping, *stage.tasks], timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED
        )
        ready.cancel()
        trouble = _trouble(stages)
        if trouble or stopping.done():
            return trouble
    return ""


async def _until_stop_or_death(stages: Sequence[Stage], stopping: "asyncio.Task[bool]") -> str:
    tasks = [task for stage in stages for task in stage.tasks]
    await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
    return _trouble(stages)


def _trouble(stages: Sequence[Stage]) -> str:
    """What a child that gave up says; its other failures are bugs of ours and are raised."""
    for task in (task for stage in stages for task in stage.tasks):
        if task.done() and (error := task.exception()) is not None:
            if isinstance(error, ChildKeepsDyingError):
                return str(error)
            raise error
    return ""


async def _stop(stage: Stage, hurry: asyncio.Event) -> None:
    """Ask the children to end; kill those that take longer than they may."""
    living = {task: child for task, child in zip(stage.tasks, stage.children, strict=True) if not task.done()}
    for child in living.values():
        child.signal_stop()
    hurrying = asyncio.create_task(hurry.wait())
    ended = asyncio.create_task(_all_done(list(living)))
    patience = max((child.spec.stop_seconds for child in living.values()), default=0)
    await asyncio.wait([ended, hurrying], timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    if hurry.is_set() and not ended.done():
        for child in living.values():
            child.signal_hurry()
        await asyncio.wait([ended], timeout=HURRY_SECONDS)
    for task, child in living.items():
        if not task.done():
            child.kill()
    await ended
    hurrying.cancel()


async def _all_done(tasks: Sequence["asyncio.Task[None]"]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
