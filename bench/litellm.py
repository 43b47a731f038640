"""LiteLLM's proxy as the benchmark compares with it: no database, one worker, the same upstream."""

import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.calls import MODEL
from bench.load import Target
from bench.stack import Server
from tests.sandbox.server import SandboxServer

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements-bench.txt"
_START_S = 120
_INSTALL_S = 1200
_NOT_FOR_IT = ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE")


class NotInstallableError(Exception):
    """It cannot be had here; the message says why."""


def install() -> Path:
    """Install what ``requirements-bench.txt`` pins, once, into the cache; return the folder of its programs.

    :raises NotInstallableError: if pip refuses or takes too long
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "oneapi-admin-bench"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    folder = cache / f"litellm-{digest}"
    if not (folder / "complete").exists():
        print(f"Installing LiteLLM into {folder}; this takes minutes, once …", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True, clear=True)
        command = [
            folder / "bin" / "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "-r",
            REQUIREMENTS,
        ]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True, timeout=_INSTALL_S)
        except subprocess.CalledProcessError as exc:
            raise NotInstallableError(exc.stderr.strip().splitlines()[-1][:200]) from exc
        except subprocess.TimeoutExpired as exc:
            raise NotInstallableError(f"pip took longer than {_INSTALL_S} s") from exc
        (folder / "complete").touch()
    return folder / "bin"


def version(programs: Path) -> str:
    code = "from importlib.metadata import version; print(version('litellm'))"
    command = [programs / "python", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def running(programs: Path, sandbox: SandboxServer) -> Iterator[Server]:
    """Start the proxy in front of the sandbox; it stops at the end.

    :raises RuntimeError: if it does not serve in time; the message has the end of its log
    """
    with tempfile.TemporaryDirectory(prefix="bench-litellm-") as name:
        folder = Path(name)
        master_key = f"sk-{secrets.token_hex(32)}"  # without one it does not start
        (folder / "config.yaml").write_text(
            json.dumps(_config(sandbox, master_key)), encoding="utf-8"
        )  # JSON is YAML
        port = _free_port()
        command = [programs / "litellm", "--config", folder / "config.yaml", "--host", "127.0.0.1"]
        command += ["--port", str(port), "--num_workers", "1"]
        command += ["--keepalive_timeout", "75"]  # as ours; by default it hangs up on clients after 5 s
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, env=_environment(), stdout=log, stderr=log)
        try:
            _wait_until_it_serves(process, port, folder / "log")
            target = Target(name="LiteLLM", port=port, keys=[master_key])
            yield Server(target=target, pid=process.pid)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _config(sandbox: SandboxServer, master_key: str) -> dict[str, object]:
    upstream = {"model": f"openai/{MODEL}", "api_base": sandbox.base_url, "api_key": sandbox.api_key}
    return {
        "model_list": [{"model_name": MODEL, "litellm_params": upstream}],
        "litellm_settings": {"telemetry": False, "num_retries": 0, "set_verbose": False},
        "general_settings": {"master_key": master_key},
    }


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_FOR_IT}
    # Nothing of it leaves the machine: prices from its own package, no telemetry.
    return {
        **kept,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
        "LITELLM_LOG": "ERROR",
        "NO_PROXY": "*",
    }


def _wait_until_it_serves(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness", timeout=5).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text(encoding="utf-8", errors="replace")[-500:]) from None
            time.sleep(0.2)  # between two polls of a condition with a deadline
        else:
            return


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
