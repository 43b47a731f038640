"""Everything that has to be done before the first process serves; nothing when it was done before."""

import contextlib
import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import django
from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.contrib.staticfiles.finders import get_finders
from django.core.exceptions import ValidationError
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone, translation

from accounts.models import Role, User, all_scopes
from accounts.services import access_tokens
from accounts.services.tokens import TOKEN_PREFIX
from billing.services import accounts, tokens
from billing.services.alerts.usual import create_usual_rules
from oneapi_admin import sandbox_channel
from oneapi_admin.lib.secrets import TOKEN_KEY_LENGTH
from oneapi_admin.supervisor.locks import file_lock

Say = Callable[[str], object]
"""Shows a line, or a few, to whoever starts the product."""

INITIAL_NAME = "initial"
_LOCK_NUMBER = 0x6F6E6561  # any number that no other user of the database's advisory locks takes
_TOKEN_KEY = re.compile(rf"[A-Za-z0-9]{{{TOKEN_KEY_LENGTH}}}", re.ASCII)
_ACCESS_TOKEN = re.compile(r"[!-~]{16,128}", re.ASCII)


class BootstrapError(Exception):
    """The environment asks for something that cannot be done; the message says what to change."""


def bootstrap(say: Say) -> None:
    """Bring database and static files up to date and, on the first start, make the root user.

    Safe to run at every start and from several processes and machines at once: they take turns.

    :param say: shows a line to whoever starts us; a generated password, once
    :raises BootstrapError: if a setting of the first start is malformed
    """
    with _taking_turns():
        _migrate()
        _collect_static()
        if not User.objects.present().filter(role=Role.ROOT).exists():
            _first_start(say)


@contextlib.contextmanager
def _taking_turns() -> Iterator[None]:
    with file_lock(settings.DATA_DIR / "bootstrap.lock", wait=True), contextlib.ExitStack() as stack:
        if connection.vendor == "postgresql":  # other machines
            holder = connection.copy()  # the lock is this connection's: closing it unlocks
            stack.callback(holder.close)
            with holder.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK_NUMBER])
        yield


def _migrate() -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)


def _collect_static() -> None:
    """Compress and hash the static files, unless those that are there were made from the same ones."""
    stamp: Path = settings.DATA_DIR / "static.stamp"
    fingerprint = _static_fingerprint()
    is_current = stamp.exists() and stamp.read_text(encoding="utf-8") == fingerprint
    if is_current and (settings.STATIC_ROOT / "staticfiles.json").exists():
        return
    call_command("collectstatic", interactive=False, verbosity=0)
    stamp.write_text(fingerprint, encoding="utf-8")


def _static_fingerprint() -> str:
    digest = hashlib.sha256(f"{django.__version__} {version('whitenoise')} {settings.STORAGES}".encode())
    for finder in get_finders():
        for path, storage in sorted(finder.list([]), key=lambda found: found[0]):
            status = Path(storage.path(path)).stat()
            digest.update(f"{path} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _first_start(say: Say) -> None:
    """Make root last: until root is there, the next start does all of this again."""
    key, access_token = _token_key(), _access_token()
    if User.objects.filter(username__iexact=settings.ROOT_USERNAME).exists():
        raise BootstrapError(
            f"There is no root user, and “{settings.ROOT_USERNAME}” is somebody else."
            " Set ROOT_USERNAME to another name."
        )
    if settings.EMBEDDED_DATABASE:
        sandbox_channel.create()
    with translation.override(settings.LANGUAGE_CODE):
        create_usual_rules(actor=None, at=timezone.now())
    password = settings.ROOT_PASSWORD or secrets.token_urlsafe(15)
    try:
        root = accounts.create_user(
            actor=None, at=timezone.now(), username=settings.ROOT_USERNAME, password=password, role=Role.ROOT
        )
    except ValidationError as exc:
        raise BootstrapError(f"ROOT_USERNAME “{settings.ROOT_USERNAME}”: {' '.join(exc.messages)}") from exc
    if settings.ROOT_PASSWORD:
        say(f"Created the user {root.username} with the password from ROOT_PASSWORD.")
        _warn_of_weakness(root, say)
    else:
        _show_once(
            say, "First start: sign in with", f"user name   {root.username}", f"password    {password}"
        )
    if key:
        tokens.create_token(actor=None, user=root, name=INITIAL_NAME, key=key)
    if access_token:
        access_tokens.create_access_token(
            actor=None, user=root, name=INITIAL_NAME, scopes=all_scopes(), key=access_token
        )


def _token_key() -> str:
    key: str = settings.INITIAL_ROOT_TOKEN.removeprefix(TOKEN_PREFIX)
    if key and not _TOKEN_KEY.fullmatch(key):
        raise BootstrapError(
            f"INITIAL_ROOT_TOKEN must be {TOKEN_KEY_LENGTH} letters and digits, with or without"
            f" “{TOKEN_PREFIX}” before them; this one has {len(key)} characters."
        )
    return key


def _access_token() -> str:
    token: str = settings.INITIAL_ROOT_ACCESS_TOKEN
    if token and not _ACCESS_TOKEN.fullmatch(token):
        raise BootstrapError(
            "INITIAL_ROOT_ACCESS_TOKEN must be 16 to 128 printable ASCII characters without spaces."
        )
    return token


def _warn_of_weakness(root: User, say: Say) -> None:
    try:
        validate_password(settings.ROOT_PASSWORD, root)
    except ValidationError as exc:
        say(f"ROOT_PASSWORD is weak: {' '.join(exc.messages)} Change it after signing in.")


def _show_once(say: Say, *lines: str) -> None:
    notice = "This password is shown only once. Keep it, or change it after signing in."
    width = max(len(line) for line in (*lines, notice))
    rows = (lines[0], "", *lines[1:], "", notice)
    frame = "─" * (width + 4)
    body = "".join(f"│  {row:<{width}}  │\n" for row in rows)
    say(f"\n┌{frame}┐\n{body}└{frame}┘\n")
