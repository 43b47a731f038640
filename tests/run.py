"""Run the whole suite on every database, side by side: ``python -m tests.run [pytest arguments]``.

One goes through the folders in their order and the other backwards, so that they do not both wait for
browsers, or both for processes that were killed, at the same time.

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


def main() -> int:
    started = time.monotonic()
    runs = {database: _start(database) for database in DATABASES}
    statuses = {}
    for database, (process, output) in runs.items():
        statuses[database] = process.wait()
        output.seek(0)
        print(f"\n=== {database} ===\n{output.read()}", flush=True)
    for database, status in statuses.items():
        print(f"{database}: {'passed' if status == 0 else f'FAILED ({status})'}")
    print(f"{time.monotonic() - started:.0f} s")
    return int(any(statuses.values()))


def _start(database: str) -> "tuple[subprocess.Popen[str], tempfile._TemporaryFileWrapper[str]]":
    output = tempfile.NamedTemporaryFile("w+", prefix=f"tests-{database}-", suffix=".log")  # noqa: SIM115
    print(f"{database}: running; its output follows and is in {output.name} meanwhile", flush=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *(sys.argv[1:] or _folders(is_backwards=database == DATABASES[1]))],
        env={**os.environ, "TEST_DATABASE": database},
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return process, output


def _folders(*, is_backwards: bool) -> list[str]:
    return sorted((str(path.parent) for path in FOLDER.glob("*/__init__.py")), reverse=is_backwards)


if __name__ == "__main__":
    sys.exit(main())
