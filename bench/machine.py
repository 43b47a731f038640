"""The machine that the figures are from: its size, and how long a durable write takes on it."""

import os
import platform
import statistics
import tempfile
import time
from pathlib import Path

_BLOCK = b"\0" * 8192


def describe() -> str:
    """Processor, cores and memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, {platform.system()} {platform.release()}"
    )


def fsync_ms(seconds: float) -> list[float]:
    """Write 8 KiB and wait until it is durable, again and again; sorted times in milliseconds.

    As ``pg_test_fsync`` does for fdatasync, PostgreSQL's default on Linux, where its data directory will be.
    """
    times: list[float] = []
    deadline = time.perf_counter() + seconds
    with tempfile.NamedTemporaryFile(prefix="bench-fsync-") as file:
        file.write(_BLOCK * 2048)
        file.flush()
        os.fsync(file.fileno())
        while (began := time.perf_counter()) < deadline:
            os.pwrite(file.fileno(), _BLOCK, len(times) % 2048 * len(_BLOCK))
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return sorted(times)


def describe_fsync(times: list[float]) -> str:
    times = sorted(times)
    p99 = times[len(times) * 99 // 100]
    return f"median {statistics.median(times):.2f} ms, p99 {p99:.2f} ms, {len(times)} writes of 8 KiB"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
