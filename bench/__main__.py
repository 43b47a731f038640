"""``python -m bench``: every benchmark, one after the other, or the one that is named first."""

import subprocess
import sys
import time
from collections.abc import Sequence

NAMES = ("relay", "settle", "accuracy", "audit", "lists", "codes", "reconcile", "forecast")
_USAGE = f"""usage: python -m bench [NAME [OPTIONS]]

NAME is {", ".join(NAMES)}; without one, all of them run with their defaults, which takes about 50 minutes.
The options are those of python -m bench.NAME; --help shows them."""


def main(arguments: Sequence[str]) -> int:
    """
    :returns: 0 if all that ran were in order
    """
    if not arguments:
        return _run_all()
    name, *options = arguments
    if name not in NAMES:
        print(_USAGE, file=sys.stderr)
        return 2
    return _run(name, options)


def _run_all() -> int:
    outcomes: dict[str, tuple[float, int]] = {}
    for name in NAMES:
        began = time.monotonic()
        status = _run(name, [])
        outcomes[name] = (time.monotonic() - began) / 60, status
        print(flush=True)
    for name, (minutes, status) in outcomes.items():
        print(f"{name:<9} {minutes:4.1f} min  {'FAILED' if status else 'in order'}")
    return int(any(status for _minutes, status in outcomes.values()))


def _run(name: str, options: Sequence[str]) -> int:
    """In a process of its own: each has its own database, which the product's settings name."""
    return subprocess.run([sys.executable, "-m", f"bench.{name}", *options], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
