"""One child process: started, watched, started again when it dies, and stopped."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from django.conf import settings

LEASH = Path(__file__).with_name("leash.py")
MAX_DEATHS = 5
"""So many deaths, none after a healthy life, and the supervisor gives up."""
HEALTHY_SECONDS = 60.0
FIRST_DELAY, LONGEST_DELAY = 0.25, 8.0

log = structlog.get_logger(__name__)


class ChildKeepsDyingError(Exception):
    """A child cannot be kept alive: starting it once more would not help."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """What to run and how to part with it."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    pass_fds: tuple[int, ...] = ()
    lock: Path | None = None
    """Held by the program while it lives, so that its successor waits for its end."""
    says_ready: bool = False
    """Whether it writes a byte to the descriptor in ``READY_FD`` once it serves."""
    ready_line: str = ""
    """Or what stands in the line of its output that says so; its output is then ours to log."""
    is_worth_logging: Callable[[str], bool] = bool
    """Which lines of that output are."""
    stop_seconds: float
    """How long it may take to stop before it is killed."""
    hurry_signal: signal.Signals = signal.SIGTERM
    """What tells it to stop at once after it was told to stop."""
    orphan_signal: signal.Signals = signal.SIGTERM
    """What it gets when the supervisor was killed."""


class Child:
    """Runs a spec until it is told to stop."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.ready = asyncio.Event()
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._deaths: deque[float] = deque(maxlen=MAX_DEATHS)

    async def run(self) -> None:
        """Keep the program running; return after :meth:`signal_stop` when it has ended.

        :raises ChildKeepsDyingError: if it died ``MAX_DEATHS`` times without a healthy life in between
        """
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                status = await self._live()
            except OSError as exc:
                raise ChildKeepsDyingError(f"{self.spec.name} cannot be started: {exc}") from exc
            if self._stopping.is_set():
                return
            self._note_death(status, lived=time.monotonic() - started)
            delay = min(FIRST_DELAY * 2 ** (len(self._deaths) - 1), LONGEST_DELAY)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), delay)

    def signal_stop(self) -> None:
        """Ask the program to finish what it is doing and end."""
        self._stopping.set()
        self._signal(signal.SIGTERM)

    def signal_hurry(self) -> None:
        """Ask the stopping program to drop what it is doing."""
        self._signal(self.spec.hurry_signal)

    def kill(self) -> None:
        """End the program and everything it started."""
        if self._process is not None:
            log.warning("child_killed", child=self.spec.name, pid=self._process.pid)
            _kill_group(self._process.pid)

    async def _live(self) -> int:
        """One life of the program, from its start to its exit status."""
        # Not the working directory, which is the operator's and may hold anything, but our own code.
        path = os.pathsep.join(filter(None, (str(settings.BASE_DIR), os.environ.get("PYTHONPATH", ""))))
        environment = {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", **self.spec.environment}
        descriptors = self.spec.pass_fds
        ready_read = ready_write = -1
        if self.spec.says_ready:
            ready_read, ready_write = os.pipe()
            environment["READY_FD"] = str(ready_write)
            descriptors = (*descriptors, ready_write)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *_leashed(self.spec),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if self.spec.ready_line else None,
                env=environment,
                pass_fds=descriptors,
                start_new_session=True,  # Ctrl-C in a terminal is for us, who keep the order of stopping
            )
        finally:
            if ready_write >= 0:
                os.close(ready_write)
        watching = [asyncio.create_task(self._watch(self._process))]
        if ready_read >= 0:
            watching.append(asyncio.create_task(self._await_ready_byte(ready_read)))
        if self._stopping.is_set():  # told while it was being started
            self._signal(signal.SIGTERM)
        status = await self._process.wait()
        await asyncio.gather(*watching)
        _kill_group(self._process.pid)  # what it left behind
        self._process = None
        return status

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """Pass the program's output on to the log, as far as it is ours."""
        if process.stdout is None:
            return
        child_log = log.bind(child=self.spec.name)
        async for raw in process.stdout:
            line = raw.decode(errors="replace").strip()
            if self.spec.ready_line in line:
                self.ready.set()
            if self.spec.is_worth_logging(line):
                child_log.warning("child_output", line=line)

    async def _await_ready_byte(self, descriptor: int) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        with os.fdopen(descriptor, "rb", buffering=0) as pipe:
            transport, _protocol = await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(reader), pipe
            )
            if await reader.read(1):
                self.ready.set()
            transport.close()

    def _note_death(self, status: int, *, lived: float) -> None:
        if lived >= HEALTHY_SECONDS:
            self._deaths.clear()
        self._deaths.append(lived)
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        log.warning("child_died", child=self.spec.name, how=how, lived_seconds=round(lived, 1))
        if len(self._deaths) >= MAX_DEATHS:
            raise ChildKeepsDyingError(
                f"{self.spec.name} died {MAX_DEATHS} times in a row, the last time with {how};"
                " its log says why."
            )

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)


def _leashed(spec: ChildSpec) -> tuple[str, ...]:
    leash = (sys.executable, "-IS", str(LEASH), str(os.getpid()), str(int(spec.orphan_signal)))
    return (*leash, str(spec.lock or "-"), *spec.command)


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
