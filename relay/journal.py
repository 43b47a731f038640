"""What a relay process keeps on local disk of the calls that the ledger does not have yet.

One file a process, with a slot for each call in flight. A slot tells whoever finds the file after its
process died what to do about the call: give its hold back (nothing was served), or charge it (for as much of
a stream as had been served, or for all of a call that was over while the database was away).

Slots are written through a memory map: what is in it survives the death of the process at any instruction,
and that of the machine once :meth:`Journal.sync` has returned. A record that was half written has a wrong
checksum and counts as not written; a record is never written over another one of the same call. The file's
blocks are allocated before the first call is taken, so that a full disk cannot keep a charge from being kept.
"""

import contextlib
import fcntl
import json
import mmap
import os
import secrets
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SUFFIX = ".calls"
_HEADER = struct.Struct("<II")
"""A record's length and checksum; the length is 0 where there is none."""
_PROGRESS = struct.Struct("<Q")
_SLOT = 8192
_ADMITTED, _SERVING, _SERVED = slice(0, 256), slice(256, 4088), slice(4096, _SLOT)
"""A slot's records: that the call was admitted, what its stream costs, and how it ended. The longest names
that our columns hold fit."""
_PROGRESS_AT = _SERVING.stop
"""How far the stream is. Aligned, so that no reader sees half of a number."""


class JournalFullError(Exception):
    """As many calls are in flight or wait for the database as the file has slots."""


@dataclass(slots=True, kw_only=True)
class KeptCall:
    """What a dead process left of a call: the records that it got to write, as it handed them in."""

    request_id: str
    serving: dict[str, Any] | None
    progress: int
    served: dict[str, Any] | None


class Journal:
    """The file of this process."""

    def __init__(self, folder: Path, *, slots: int) -> None:
        """Create the file, with all of its blocks.

        :raises OSError: if there is no room for it, or the folder cannot be written
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / f"{os.getpid()}-{secrets.token_hex(8)}{SUFFIX}"
        self.capacity = slots
        self._free = list(range(slots))
        self._slots: dict[str, int] = {}
        self._served: set[str] = set()
        size = slots * _SLOT
        new = self.path.with_suffix(".new")
        self._fd = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # for as long as the process lives
            os.posix_fallocate(self._fd, 0, size)
            os.fsync(self._fd)
            self._map = mmap.mmap(self._fd, size)
            new.rename(self.path)  # only now can anybody find it
            _sync_folder(folder)
        except BaseException:
            os.close(self._fd)
            new.unlink(missing_ok=True)
            raise

    @property
    def served_count(self) -> int:
        """How many calls that are over wait for the database."""
        return len(self._served)

    @property
    def open_count(self) -> int:
        """How many calls have a slot."""
        return len(self._slots)

    def open(self, request_id: str) -> None:
        """Take a slot for a call that is about to be admitted.

        :raises JournalFullError: if none is left
        """
        if not self._free:
            raise JournalFullError
        slot = self._free.pop()
        self._slots[request_id] = slot
        self._write(slot, _ADMITTED, request_id.encode())

    def begin_serving(self, request_id: str, record: Mapping[str, Any]) -> None:
        """Keep what a stream costs, before its first byte is passed on."""
        slot = self._slots[request_id]
        _PROGRESS.pack_into(self._map, slot * _SLOT + _PROGRESS_AT, 0)
        self._write(slot, _SERVING, _encode(record))

    def note_progress(self, request_id: str, progress: int) -> None:
        """Keep how far a stream is, before what it says is passed on."""
        _PROGRESS.pack_into(self._map, self._slots[request_id] * _SLOT + _PROGRESS_AT, progress)

    def keep_served(self, request_id: str, record: Mapping[str, Any]) -> None:
        """Keep the charge of a call that is over; durable after :meth:`sync`."""
        self._write(self._slots[request_id], _SERVED, _encode(record))
        self._served.add(request_id)

    def sync(self) -> None:
        """Return when everything written so far is on the disk, as Linux does it for maps too. Blocks.

        :raises OSError: if the disk refuses
        """
        os.fdatasync(self._fd)

    def close_call(self, request_id: str) -> None:
        """Give up a call's slot: the ledger has it, or it was never admitted."""
        slot = self._slots.pop(request_id, None)
        if slot is None:
            return
        self._served.discard(request_id)
        for part in (_SERVED, _SERVING, _ADMITTED):
            _HEADER.pack_into(self._map, slot * _SLOT + part.start, 0, 0)
        self._free.append(slot)

    def close(self) -> None:
        """Delete the file when no call is left in it; else leave it to :func:`abandoned`."""
        if not self._slots:
            self.path.unlink(missing_ok=True)
        self._slots.clear()
        self._map.close()
        os.close(self._fd)

    def _write(self, slot: int, part: slice, payload: bytes) -> None:
        """
        :raises ValueError: if it is too long
        """
        at = slot * _SLOT + part.start
        begin, end = at + _HEADER.size, at + _HEADER.size + len(payload)
        if end > slot * _SLOT + part.stop:
            raise ValueError(f"A record of {len(payload)} bytes does not fit into the journal.")
        self._map[begin:end] = payload
        _HEADER.pack_into(self._map, at, len(payload), zlib.crc32(payload))


@contextlib.contextmanager
def abandoned(path: Path) -> Iterator[list[KeptCall] | None]:
    """The calls in a dead process's file, in no order; None if its process lives or it is gone.

    Nobody else gets them meanwhile. The file is deleted at the end, unless an exception says that its calls
    are still to be dealt with.
    """
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield None
        return
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        if not os.fstat(fd).st_nlink:  # another process has dealt with it a moment ago
            yield None
            return
        yield list(_read(fd))
        path.unlink()
    finally:
        os.close(fd)


def abandoned_count(folder: Path) -> int:
    """How many calls dead processes left, but for those that somebody is dealing with at this moment."""
    return sum(map(_abandoned_in, folder.glob(f"*{SUFFIX}")))


def _abandoned_in(path: Path) -> int:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return sum(1 for _call in _read(fd))
    except BlockingIOError:
        return 0
    finally:
        os.close(fd)


def _read(fd: int) -> Iterator[KeptCall]:
    at = 0
    while len(slot := os.pread(fd, _SLOT, at)) == _SLOT:
        at += _SLOT
        admitted, serving, served = (_payload(slot[part]) for part in (_ADMITTED, _SERVING, _SERVED))
        if admitted is not None:
            yield KeptCall(
                request_id=admitted.decode(),
                serving=json.loads(serving) if serving else None,
                progress=_PROGRESS.unpack_from(slot, _PROGRESS_AT)[0],
                served=json.loads(served) if served else None,
            )


def _payload(part: bytes) -> bytes | None:
    length, checksum = _HEADER.unpack_from(part)
    payload = part[_HEADER.size : _HEADER.size + length]
    return payload if length and zlib.crc32(payload) == checksum else None


def _encode(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
