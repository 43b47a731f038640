"""The web processes of this machine telling each other what they count, so that any of them can tell all.

Each listens on a socket in ``RUNTIME_DIR`` and answers whoever connects with its families as JSON. There are
no files to clean or to grow, and a process that died is gone from the next answer: every sample has the
process's ``pid``, so that Prometheus sees a counter end instead of one that falls.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import structlog
from prometheus_client import Metric

logger = structlog.get_logger(__name__)

_PATIENCE_S: Final = 1.0
_SUFFIX: Final = ".sock"
_SILENT: Final = "Web processes of this machine that are there and did not answer."


class Peers:
    """This process among those of its machine."""

    def __init__(self, folder: Path, families: Callable[[], Iterable[Metric]]) -> None:
        """
        :param families: what this process counts
        """
        self._folder = folder
        self._families = families
        self._path = folder / f"{os.getpid()}{_SUFFIX}"
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Be there for the others; without a place for the socket, this process is counted only by itself."""
        new = self._path.with_suffix(".new")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            new.unlink(missing_ok=True)
            self._server = await asyncio.start_unix_server(self._answer, new)
            new.rename(self._path)  # only now can anybody find it
        except OSError:
            logger.exception("metrics.no_socket", folder=str(self._folder))

    async def close(self) -> None:
        if self._server is not None:
            self._path.unlink(missing_ok=True)
            self._server.close()

    async def collect(self) -> list[Metric]:
        """The families of all processes, and how many processes did not answer."""
        others = self._others()
        answers = await asyncio.gather(*(_ask(path) for path in others))
        merged: dict[str, Metric] = {}
        _merge(merged, str(os.getpid()), _encoded(self._families()))
        for path, answer in zip(others, answers, strict=True):
            _merge(merged, path.stem, answer or [])
        silent = Metric("oneapi_web_processes_silent", _SILENT, "gauge")
        silent.add_sample(silent.name, {}, sum(answer is None for answer in answers))
        return [*merged.values(), silent]

    def _others(self) -> list[Path]:
        return [path for path in self._folder.glob(f"*{_SUFFIX}") if path != self._path]

    async def _answer(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(json.dumps(_encoded(self._families())).encode())
            writer.close()
            await writer.wait_closed()


async def _ask(path: Path) -> list[Any] | None:
    """A process's families; none of one that died, None of one that does not answer."""
    try:
        async with asyncio.timeout(_PATIENCE_S):
            reader, writer = await asyncio.open_unix_connection(path)
            try:
                answer: list[Any] = json.loads(await reader.read())
            finally:
                writer.close()
    except (ConnectionRefusedError, FileNotFoundError):
        _forget(path)
        return []
    except (TimeoutError, OSError, ValueError):
        return None
    return answer


def _forget(path: Path) -> None:
    path.unlink(missing_ok=True)


def _encoded(families: Iterable[Metric]) -> list[Any]:
    return [
        [one.name, one.documentation, one.type, [[s.name, s.labels, s.value] for s in one.samples]]
        for one in families
    ]


def _merge(merged: dict[str, Metric], pid: str, families: list[Any]) -> None:
    for name, documentation, kind, samples in families:
        family = merged.setdefault(name, Metric(name, documentation, kind))
        for sample_name, labels, value in samples:
            family.add_sample(sample_name, {"pid": pid, **labels}, value)
