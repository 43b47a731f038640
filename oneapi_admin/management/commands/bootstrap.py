"""``manage.py bootstrap``: database, static files and, the first time, the root user."""

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from oneapi_admin.bootstrap import BootstrapError, bootstrap


class Command(BaseCommand):
    help = "Migrates the database, collects static files and, on the first start, makes the root user."

    def handle(self, *_args: Any, **_options: Any) -> None:
        os.umask(0o077)  # database, keys and sockets are nobody else's business
        try:
            bootstrap(self.stdout.write)
        except BootstrapError as exc:
            raise CommandError(str(exc)) from exc
