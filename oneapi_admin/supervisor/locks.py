"""Locks between processes of one machine: a file that the kernel unlocks when its holder dies."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


class AlreadyLockedError(Exception):
    """Somebody else holds the lock; the message is what they wrote about themselves."""


@contextlib.contextmanager
def file_lock(path: Path, *, wait: bool, note: str = "") -> Iterator[None]:
    """Hold the lock on ``path``.

    :param note: what another process is told that finds the file locked
    :raises AlreadyLockedError: if it is taken and ``wait`` is false
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise AlreadyLockedError(os.read(descriptor, 200).decode(errors="replace").strip()) from exc
        os.ftruncate(descriptor, 0)
        os.write(descriptor, note.encode())
        yield
    finally:
        os.close(descriptor)
