"""``python -m sandbox``: run the sandbox under uvicorn until it is told to stop.

Prints one line, with its address, to standard output once it listens; the log goes to standard error.
"""

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn

from sandbox import account as accounts
from sandbox.app import Sandbox, Settings

UNFINISHED: Final = "ASGI callable returned without completing response."


def main(argv: list[str] | None = None) -> int:
    options = _parse(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.error").addFilter(_is_worth_logging)
    try:
        app = Sandbox(
            Settings(
                api_key=options.api_key,
                state_path=options.state,
                record_path=options.record,
                slow_seconds=options.slow_seconds,
                account=accounts.Account(balance=options.balance_usd, monthly_cap=options.monthly_cap_usd),
            )
        )
        listener = _listen(options.host, options.port)
    except (OSError, OverflowError) as exc:
        print(f"sandbox: cannot start: {exc}", file=sys.stderr)
        return 1
    host = f"[{options.host}]" if ":" in options.host else options.host
    print(f"Sandbox listening on http://{host}:{listener.getsockname()[1]}/v1", flush=True)
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            http="httptools",
            loop="uvloop",
            ws="none",
            lifespan="on",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            # Control calls are for loopback peers; a header must not be able to name another peer.
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
    )
    # uvicorn finishes what is under way, then repeats the signal for the handler that was there before it.
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, _exit)
    server.run(sockets=[listener])
    return 0


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description="OpenAI-compatible mock provider.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001, help="0: any free port (default: %(default)s)")
    parser.add_argument("--state", type=Path, help="JSON file that keeps the account (default: memory only)")
    parser.add_argument("--record", type=Path, help="file to which each request is added as a line of JSON")
    parser.add_argument("--api-key", default=os.environ.get("SANDBOX_API_KEY", "sk-sandbox"))
    parser.add_argument(
        "--slow-seconds",
        type=_seconds,
        default=os.environ.get("SANDBOX_SLOW_SECONDS", "3"),
        help="what sandbox-slow takes (default: SANDBOX_SLOW_SECONDS, else 3)",
    )
    parser.add_argument("--balance-usd", type=_usd, default="100", help="of a new account (default: 100)")
    parser.add_argument("--monthly-cap-usd", type=_usd, default="500", help="of a new account (default: 500)")
    return parser.parse_args(argv)


def _usd(text: str) -> int:
    try:
        return accounts.parse_usd(text)
    except accounts.AmountError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from exc


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds <= 600:
        raise argparse.ArgumentTypeError("between 0 and 600")
    return seconds


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def _exit(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(0)


def _is_worth_logging(record: logging.LogRecord) -> bool:
    """Keep quiet about answers cut on purpose: by ``sandbox-drop``, or because we are told to stop."""
    if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
        return False
    return record.getMessage() != UNFINISHED


if __name__ == "__main__":
    sys.exit(main())
