"""Run the whole suite on every database: ``python -m tests.run [pytest arguments]``.

What a machine cannot provide is skipped with a reason on the last lines; with ``REQUIRE_ALL=1`` such a
skip is a failure.
"""

import os
import subprocess
import sys
import time

DATABASES = ("sqlite", "postgresql")


def main() -> int:
    statuses = {}
    for database in DATABASES:
        print(f"\n=== {database} ===", flush=True)
        started = time.monotonic()
        command = [sys.executable, "-m", "pytest", *sys.argv[1:]]
        status = subprocess.run(
            command, env={**os.environ, "TEST_DATABASE": database}, check=False
        ).returncode
        statuses[database] = (status, time.monotonic() - started)
    print()
    for database, (status, seconds) in statuses.items():
        print(f"{database}: {'passed' if status == 0 else f'FAILED ({status})'} in {seconds:.0f} s")
    return int(any(status for status, _seconds in statuses.values()))


if __name__ == "__main__":
    sys.exit(main())
