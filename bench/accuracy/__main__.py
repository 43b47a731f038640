"""``python -m bench.accuracy``: is every unit of quota accounted for under any load?"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import stack
from tests.support import valkey


def main(arguments: Sequence[str]) -> int:
    options = _parse(arguments)
    with tempfile.TemporaryDirectory(prefix="accuracy-") as name:
        folder = Path(name)
        os.environ["REDIS_URL"] = valkey.start()
        url = f"sqlite:///{folder}/bench.sqlite3" if options.sqlite else f"{stack.new_database()}/bench"
        stack.install(folder, url)
        import django

        django.setup()
        from bench.accuracy import report, run

        result = run.measure(options.load, folder)
        report.print_report(result, options.load)
    return 0 if result.is_sound else 1


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    from bench.accuracy.options import FULL, QUICK, Load

    parser = argparse.ArgumentParser(prog="python -m bench.accuracy", description=__doc__)
    parser.add_argument("--sqlite", action="store_true", help="on a file of SQLite instead of PostgreSQL")
    parser.add_argument(
        "--quick", action="store_true", help=f"{QUICK.calls} calls: only to see that it works"
    )
    parser.add_argument("--calls", type=int, help=f"default: {FULL.calls}")
    parser.add_argument(
        "--seconds", type=float, help=f"no call begins later than that (default: {FULL.seconds:g})"
    )
    parser.add_argument("--clients", type=int, help=f"default: {FULL.clients}")
    parser.add_argument("--processes", type=int, help=f"that relay (default: {FULL.processes})")
    parser.add_argument("--accounts", type=int, help=f"default: {FULL.accounts}")
    parser.add_argument("--seed", type=int, help="of everything that is left to chance")
    parser.add_argument(
        "--kill",
        type=float,
        nargs="?",
        const=5.0,
        metavar="SECONDS",
        help="SIGKILL one relay process after the other, so far apart (default: 5), and start it again",
    )
    options = parser.parse_args(arguments)
    chosen = {name: getattr(options, name) for name in Load.__dataclass_fields__ if name != "kill_every_s"}
    given = {name: value for name, value in chosen.items() if value is not None}
    base = QUICK if options.quick else FULL
    options.load = base.with_changes(kill_every_s=options.kill, **given)
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
