"""The first start on PostgreSQL, by two machines at once."""

import subprocess
from pathlib import Path

import psycopg
import pytest

from tests.serve.installation import Installation
from tests.support import postgres

pytestmark = pytest.mark.skipif(postgres.binaries() is None, reason="needs PostgreSQL")


def test_two_machines_may_start_for_the_first_time_at_once(
    first_start: tuple[Installation, str], tmp_path: Path
) -> None:
    url = postgres.start()
    with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS twice")
        connection.execute("CREATE DATABASE twice")
    machines = [first_start[0].copy(tmp_path / name) for name in ("one", "two")]
    environment = {"DATABASE_URL": f"{url}/twice"}

    running = [
        subprocess.Popen(
            machine._command("bootstrap"),
            env=machine._environment(environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for machine in machines
    ]
    outputs = [process.communicate(timeout=60)[0] for process in running]

    assert [process.returncode for process in running] == [0, 0], outputs
    assert sum("password" in output for output in outputs) == 1
    with psycopg.connect(f"{url}/twice") as connection:
        users = connection.execute("SELECT username, role FROM accounts_user").fetchall()
        channels = connection.execute("SELECT count(*) FROM billing_channel").fetchone()
    assert users == [("root", "root")]
    assert channels == (0,)  # the sandbox is for embedded installations
