"""``manage.py serve``: everything that the product consists of, under one supervisor."""

import asyncio
import contextlib
import os
import resource
import socket
import stat
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from oneapi_admin import __version__, sandbox_channel
from oneapi_admin.bootstrap import BootstrapError, bootstrap
from oneapi_admin.supervisor import roles as available
from oneapi_admin.supervisor import sockets, valkey
from oneapi_admin.supervisor.locks import AlreadyLockedError, file_lock
from oneapi_admin.supervisor.supervise import supervise

MAX_DESCRIPTORS = 65_536


class Command(BaseCommand):
    help = "Prepares the installation, then runs console, relay, job worker and scheduler until told to stop."

    def add_arguments(self, parser: ArgumentParser) -> None:
        names = ",".join(available.ALL)
        parser.add_argument("--roles", help=f"some of {names} (default: all that the configuration needs)")
        parser.add_argument(
            "--host", default=settings.HOST, help="address to listen on (default: %(default)s)"
        )
        parser.add_argument(
            "--port", type=int, default=settings.PORT, help="default: %(default)s; 0: any free one"
        )
        parser.add_argument(
            "--workers", type=int, help="web processes (default: 1 with SQLite, else one per CPU, ≤ 4)"
        )
        parser.add_argument(
            "--no-bootstrap", action="store_true", help="expect `manage.py bootstrap` to have been run"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        os.umask(0o077)  # database, keys and sockets are nobody else's business
        _allow_many_connections()
        roles = _roles(options["roles"])
        workers = available.default_web_processes() if options["workers"] is None else options["workers"]
        if workers < 1:
            raise CommandError("--workers must be at least 1.")
        try:
            with _only_one_on_this_data():
                self._serve(roles, workers, options)
        except (BootstrapError, sockets.PortUnavailableError) as exc:
            raise CommandError(str(exc)) from exc

    def _serve(self, roles: list[str], workers: int, options: dict[str, Any]) -> None:
        listener = sockets.bind(options["host"], options["port"]) if available.WEB in roles else None
        if not options["no_bootstrap"]:
            self._say("Preparing database and static files …")
            bootstrap(self._say)
        sandbox_port = sandbox_channel.claim_port() if available.SANDBOX in roles else 0
        connections.close_all()
        for folder in (settings.RUNTIME_DIR, valkey.data_dir(), *settings.JOB_FOLDERS):
            _make_private(folder)
        if listener is not None:
            sockets.listen(listener)
        stages = available.stages(
            roles=roles, listener=listener, web_processes=workers, sandbox_port=sandbox_port
        )

        def on_ready() -> None:
            self._announce(roles, listener, workers)

        def on_stopping() -> None:
            if listener is not None:
                listener.close()
            self._say(
                f"Stopping: calls in flight have {settings.DRAIN_SECONDS} s to finish; Ctrl-C to hurry."
            )

        trouble = asyncio.run(supervise(stages, on_ready=on_ready, on_stopping=on_stopping))
        if trouble:
            raise CommandError(trouble)
        self._say("Stopped.")

    def _announce(self, roles: list[str], listener: socket.socket | None, workers: int) -> None:
        address = sockets.url_of(listener) if listener is not None else ""
        processes = f" ({workers} web processes)" if workers > 1 and listener is not None else ""
        self._say(f"oneapi-admin {__version__} is running.")
        if address:
            self._say(f"  Console   {address}/")
            self._say(f"  API       {address}/v1")
        self._say(f"  Data      {settings.DATA_DIR}")
        self._say(f"  Roles     {', '.join(roles)}{processes}")
        self._say("  Stop it with Ctrl-C.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def _roles(text: str | None) -> list[str]:
    if text is None:
        return available.default_roles()
    chosen = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in chosen if name not in available.ALL]:
        raise CommandError(f"There is no role “{unknown[0]}”. Choose from {', '.join(available.ALL)}.")
    if not chosen:
        raise CommandError(f"Name at least one role of {', '.join(available.ALL)}.")
    return [name for name in available.ALL if name in chosen]


@contextlib.contextmanager
def _only_one_on_this_data() -> Iterator[None]:
    """Stores that live in the data folder have one supervisor; outside stores may have many."""
    if not (settings.EMBEDDED_DATABASE or settings.EMBEDDED_REDIS):
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(
                file_lock(settings.DATA_DIR / "serve.lock", wait=False, note=f"process {os.getpid()}")
            )
        except AlreadyLockedError as exc:
            raise CommandError(
                f"{settings.DATA_DIR} is in use by another `serve`, {exc}. Stop that one first, or set"
                " DATA_DIR to another folder. To run roles apart, set DATABASE_URL and REDIS_URL."
            ) from exc
        yield


def _make_private(folder: Path) -> None:
    """
    :raises CommandError: if the folder is somebody else's, as one in /tmp could be
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise CommandError(f"{folder} is not a folder of ours. Set DATA_DIR to a short path, or remove it.")
    folder.chmod(0o700)


def _allow_many_connections() -> None:
    """Each call takes two descriptors, and systems often start with 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MAX_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
