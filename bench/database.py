"""A durable PostgreSQL database for a benchmark that calls the product's code in its own process."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.support import postgres, valkey


@contextmanager
def own_database(name: str) -> Iterator[str]:
    """A migrated one, with a Valkey beside it; sets the process's environment.

    :returns: the server's base URL
    """
    server = postgres.start(postgres.DURABLE)
    with psycopg.connect(f"{server}/postgres", autocommit=True) as made:
        made.execute(f"CREATE DATABASE {name}")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        os.environ.update(
            DJANGO_SETTINGS_MODULE="oneapi_admin.settings",
            DATABASE_URL=f"{server}/{name}",
            REDIS_URL=valkey.start(),
            DATA_DIR=folder,
            SECRET_KEY="a key for benchmarks only, long enough to be taken",
            ALLOWED_HOSTS="127.0.0.1",
        )
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        yield server
