"""Run the whole suite on every database: ``python -m tests.run [pytest arguments]``.

On each of them two halves run side by side: that of the pages waits for browsers while the other one waits for
processes that were killed. One of the databases goes through its folders backwards, so that not all wait for
the same at the same time.

What a machine cannot provide is skipped with a reason on the last lines; with ``REQUIRE_ALL=1`` such a
skip is a failure.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FOLDER = Path(__file__).parent
DATABASES = ("sqlite", "postgresql")
PAGES = frozenset({"api", "console", "ops", "portal", "story"})
"""The folders of the first half."""


def main() -> int:
    started = time.monotonic()
    runs = {
        f"{database}, {half}" if half else database: _start(database, arguments)
        for database in DATABASES
        for half, arguments in _halves(is_backwards=database == DATABASES[1]).items()
    }
    statuses = {}
    for name, (process, output) in runs.items():
        statuses[name] = process.wait()
        output.seek(0)
        print(f"\n=== {name} ===\n{output.read()}", flush=True)
    for name, status in statuses.items():
        print(f"{name}: {'passed' if status == 0 else f'FAILED ({status})'}")
    print(f"{time.monotonic() - started:.0f} s")
    return int(any(statuses.values()))


def _start(
    database: str, arguments: list[str]
) -> "tuple[subprocess.Popen[str], tempfile._TemporaryFileWrapper[str]]":
    output = tempfile.NamedTemporaryFile("w+", prefix=f"tests-{database}-", suffix=".log")  # noqa: SIM115
    print(f"{database}: running; its output follows and is in {output.name} meanwhile", flush=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments],
        env={**os.environ, "TEST_DATABASE": database},
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return process, output


def _halves(*, is_backwards: bool) -> dict[str, list[str]]:
    """What to run, by the name of the half; all in one when there are arguments that say what."""
    if sys.argv[1:]:
        return {"": sys.argv[1:]}
    folders = sorted((path.parent for path in FOLDER.glob("*/__init__.py")), reverse=is_backwards)
    return {
        "pages": [str(folder) for folder in folders if folder.name in PAGES],
        "the rest": [str(folder) for folder in folders if folder.name not in PAGES],
    }


if __name__ == "__main__":
    sys.exit(main())
