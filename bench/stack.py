"""What the relay's benchmark runs on: durable PostgreSQL, the sandbox as upstream, and two relays."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import psycopg

from bench.load import Target
from tests.sandbox.server import SandboxServer, start_sandbox
from tests.support import postgres
from tests.support.processes import ROOT, web_processes

ACCOUNTS = 64
_PLENTY_USD = "999999999"
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Something to measure, and the process whose CPU time it takes."""

    target: Target
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    database_url: str
    postmaster: int
    sandbox: SandboxServer
    direct: Server
    relay: Server
    hot: Server
    """The same process as ``relay``, asked with one account's key only."""
    single: Server
    """The same relay with one transaction a call."""

    def database_settings(self) -> dict[str, str]:
        """The settings that decide whether a commit is durable, and the server's version."""
        names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method")
        with psycopg.connect(self.database_url) as connection:
            return {name: self._one(connection, f"SHOW {name}") for name in names}

    def usage_rows(self) -> int:
        """How many served calls were recorded."""
        with psycopg.connect(self.database_url) as connection:
            return int(
                self._one(connection, "SELECT COUNT(*) FROM billing_usagerecord WHERE http_status = 200")
            )

    def audit(self) -> tuple[bool, str]:
        """Run the product's audit; return whether the ledger adds up, and what it said."""
        done = subprocess.run(
            [sys.executable, "manage.py", "audit_ledger"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode == 0, done.stdout + done.stderr

    @staticmethod
    def _one(connection: "psycopg.Connection[tuple[object, ...]]", query: str) -> str:
        row = connection.execute(query).fetchone()
        return str(row[0]) if row else ""


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Start everything on a fresh database; it all stops at the end.

    Sets the process's environment, which the product's settings are read from: call it before they are.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        server_url = new_database()
        install(folder, f"{server_url}/bench")
        sandbox = stack.enter_context(
            start_sandbox(folder, balance_usd=_PLENTY_USD, monthly_cap_usd=_PLENTY_USD)
        )
        keys = _seed(sandbox)
        [relay] = stack.enter_context(web_processes(1))
        [single] = stack.enter_context(web_processes(1, RELAY_GROUP_COMMIT_SIZE="1"))
        yield Stack(
            database_url=f"{server_url}/bench",
            postmaster=postmaster_of(server_url),
            sandbox=sandbox,
            direct=_server("direct", sandbox.port, [sandbox.api_key], sandbox.pid),
            relay=_server("relay", relay.port, keys, relay.process.pid),
            hot=_server("relay, one account", relay.port, keys[:1], relay.process.pid),
            single=_server("relay, one transaction a call", single.port, keys, single.process.pid),
        )


def new_database() -> str:
    """Start a durable PostgreSQL with an empty database called ``bench``; return the server's base URL."""
    server_url = postgres.start(postgres.DURABLE)
    with psycopg.connect(f"{server_url}/postgres", autocommit=True) as connection:
        connection.execute("CREATE DATABASE bench")
    return server_url


def install(folder: Path, database_url: str) -> None:
    """Make the product's tables in an empty database.

    Sets the process's environment, which the product's settings are read from: call it before they are.
    """
    os.environ.update(
        DJANGO_SETTINGS_MODULE="oneapi_admin.settings",
        DATABASE_URL=database_url,
        DATA_DIR=str(folder),
        SECRET_KEY="a key for benchmarks only, long enough to be taken",
        ALLOWED_HOSTS="127.0.0.1",
    )
    _manage("migrate", "--verbosity=0")


def cpu_seconds(pid: int) -> float:
    """CPU time that a process and its children have used, in all their threads."""
    total = 0.0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(path.parent.name) == pid:
            total += sum(map(int, fields[11:15])) / _TICKS_PER_S  # with those of its children that ended
        elif int(fields[1]) == pid:
            total += sum(map(int, fields[11:13])) / _TICKS_PER_S
    return total


def _server(name: str, port: int, keys: list[str], pid: int) -> Server:
    return Server(target=Target(name=name, port=port, keys=keys), pid=pid)


def _manage(*arguments: str) -> None:
    subprocess.run([sys.executable, "manage.py", *arguments], cwd=ROOT, check=True)


def _seed(sandbox: SandboxServer) -> list[str]:
    command = [sys.executable, "-m", "bench.seed", sandbox.origin, sandbox.api_key, str(ACCOUNTS)]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    keys: list[str] = json.loads(output.splitlines()[-1])
    return keys


def postmaster_of(server_url: str) -> int:
    """The process id of a server that ``postgres.start`` gave."""
    folder = Path(unquote(server_url.rpartition("@")[2]))
    return int((folder / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
