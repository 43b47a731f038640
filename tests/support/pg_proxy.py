"""A unix socket in front of PostgreSQL that can cut connections: at a commit, or all of them.

It reads what clients send as far as it has to (postgresql.org/docs/current/protocol-message-formats.html).
"""

import contextlib
import socket
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, auto
from pathlib import Path

_NAME = ".s.PGSQL.5432"
_COMMITTED = b"COMMIT\0"
_PIECE = 1 << 16


class Cut(Enum):
    """When a connection is cut."""

    BEFORE_COMMIT = auto()
    """The server has every statement of the transaction, but not its COMMIT."""
    AFTER_COMMIT = auto()
    """The transaction is durable, and its client does not learn it."""


class PostgresProxy:
    """Passes everything on until it is told otherwise."""

    def __init__(self, server_folder: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-proxy-"))
        self._server = str(server_folder / _NAME)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / _NAME))
        self._listener.listen(64)
        self._pairs: set[_Pair] = set()
        self._lock = threading.Lock()
        self._cuts: list[tuple[Cut, str]] = []
        self._is_away = False
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, moment: Cut, *, writing: str, times: int = 1) -> None:
        """Cut the next connections that commit a transaction with a statement that has ``writing`` in it."""
        with self._lock:
            self._cuts += [(moment, writing)] * times

    @property
    def cuts_left(self) -> int:
        return len(self._cuts)

    def go_away(self) -> None:
        """Cut every connection, and every new one."""
        with self._lock:
            self._is_away = True
            pairs = list(self._pairs)
        for pair in pairs:
            pair.cut()

    def come_back(self) -> None:
        self._is_away = False

    def close(self) -> None:
        self._listener.close()
        self.go_away()

    def take_cut(self, statements: list[str]) -> Cut | None:
        """The cut that a transaction's commit was waited for with, if there is one."""
        with self._lock:
            for cut in self._cuts:
                if any(cut[1] in statement for statement in statements):
                    self._cuts.remove(cut)
                    return cut[0]
        return None

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            server = socket.socket(socket.AF_UNIX)
            with self._lock:
                try:
                    if self._is_away:
                        raise ConnectionRefusedError
                    server.connect(self._server)
                except OSError:
                    client.close()
                    server.close()
                    continue
                pair = _Pair(self, client, server)
                self._pairs.add(pair)
            pair.start()

    def forget(self, pair: "_Pair") -> None:
        with self._lock:
            self._pairs.discard(pair)


class _Pair:
    """One client's connection and its own to the server."""

    def __init__(self, proxy: PostgresProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._is_last = False
        """Whether the server's next COMMIT is the end of it."""
        self._reader = _CommitFinder()

    def start(self) -> None:
        answers = threading.Thread(target=self._run, args=(self._pump_answers,), daemon=True)
        answers.start()
        threading.Thread(target=self._live, args=(answers,), daemon=True).start()

    def cut(self) -> None:
        """Make both threads end."""
        for end in (self._client, self._server):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _live(self, answers: threading.Thread) -> None:
        self._run(self._pump_requests)
        answers.join()
        self._proxy.forget(self)
        self._client.close()
        self._server.close()

    def _run(self, pump: Callable[[], None]) -> None:
        with contextlib.suppress(OSError):
            pump()
        self.cut()

    def _pump_requests(self) -> None:
        while data := self._client.recv(_PIECE):
            for part, statements in self._reader.feed(data):
                cut = self._proxy.take_cut(statements) if statements else None
                if cut is Cut.BEFORE_COMMIT:
                    return
                self._is_last = self._is_last or cut is Cut.AFTER_COMMIT
                self._server.sendall(part)

    def _pump_answers(self) -> None:
        kept = b""
        while data := self._server.recv(_PIECE):
            if not self._is_last:
                self._client.sendall(data)
            else:
                kept += data
                if _COMMITTED in kept:
                    return


class _CommitFinder:
    """Splits what a client sends at its commits."""

    def __init__(self) -> None:
        self._buffer = b""
        self._has_begun = False
        self._prepared: dict[bytes, str] = {}
        self._statements: list[str] = []

    def feed(self, data: bytes) -> Iterator[tuple[bytes, list[str]]]:
        """Parts to be sent on, each with the statements of the transaction that it commits, if it does."""
        self._buffer += data
        passed = b""
        while message := self._next_message():
            statement = self._statement_of(message)
            if statement == "COMMIT":
                yield passed, []
                yield message, self._statements
                passed, self._statements = b"", []
                continue
            if statement is not None:
                self._statements = [] if statement == "BEGIN" else [*self._statements, statement]
            passed += message
        yield passed, []

    def _next_message(self) -> bytes:
        """The next whole message; the first one of a connection has no type."""
        skipped = 1 if self._has_begun else 0
        if len(self._buffer) < skipped + 4:
            return b""
        [length] = struct.unpack_from("!I", self._buffer, skipped)
        if len(self._buffer) < skipped + length:
            return b""
        message, self._buffer = self._buffer[: skipped + length], self._buffer[skipped + length :]
        self._has_begun = True
        return message

    def _statement_of(self, message: bytes) -> str | None:
        """What a message has the server run, if it does."""
        kind, body = message[:1], message[5:]
        if kind == b"P":
            name, statement, _ = body.split(b"\0", 2)
            self._prepared[name] = statement.decode()
        elif kind == b"B":
            _portal, name, _ = body.split(b"\0", 2)
            return self._prepared.get(name)
        elif kind == b"Q":
            return body.rstrip(b"\0").decode()
        return None


@contextmanager
def postgres_proxy(server_folder: Path) -> Iterator[PostgresProxy]:
    proxy = PostgresProxy(server_folder)
    try:
        yield proxy
    finally:
        proxy.close()
