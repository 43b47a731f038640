"""Ending: nothing is cut that could finish, and nothing is left behind."""

import json
import signal
import socket
from contextlib import ExitStack, closing, suppress

import psutil

from tests.serve.installation import Installation, Serving, wait_until

KEY = "k" * 48
CALL = {"model": "sandbox-slow", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
TOP_UP = """
from accounts.models import User
from billing.services.accounts import top_up
from django.utils.timezone import now
root = User.objects.get()
top_up(actor=root, user=root, quota=500_000, at=now())
"""


def test_a_stop_lets_calls_finish_and_leaves_nothing_behind(unstarted: Installation) -> None:
    with ExitStack() as stack:
        serving = stack.enter_context(unstarted.serving("--workers", "2", INITIAL_ROOT_TOKEN=KEY))
        serving.wait_until_ready()
        unstarted.shell(TOP_UP)
        # two web, worker with two, beat, sandbox, valkey
        children = wait_until(lambda: _all(serving.children(), 8), "all children")
        upload = stack.enter_context(closing(serving.connect()))
        upload.putrequest("POST", "/accounts/login/")
        upload.putheader("Content-Length", "10")
        upload.endheaders(b"half of")
        call = stack.enter_context(closing(serving.connect()))
        call.request("POST", "/v1/chat/completions", json.dumps(CALL), {"Authorization": f"Bearer sk-{KEY}"})
        streamed = call.getresponse()
        beginning = streamed.readline()
        server_side_knows(serving)

        serving.process.send_signal(signal.SIGTERM)
        serving.read_until("Stopping")
        wait_until(lambda: refuses(serving), "no new connections")
        upload.send(b" it")
        uploaded = upload.getresponse()
        end = streamed.read()
        status = serving.exit_status()

    assert uploaded.status == 403  # by Django, for want of a cookie
    assert beginning.startswith(b"data: {")
    assert b"data: [DONE]" in end
    assert status == 0
    assert serving.output.endswith("Stopped.\n")
    assert [child for child in children if child.is_running()] == []
    assert unstarted.rows("SELECT count(*) FROM billing_hold") == [(0,)]
    [(balance, used)] = unstarted.rows("SELECT balance, used_quota FROM billing_quotaaccount")
    assert used > 0
    assert balance == 500_000 - used


def test_whoever_asks_twice_does_not_wait(installation: Installation) -> None:
    with ExitStack() as stack:
        serving = stack.enter_context(installation.serving("--roles", "web", DRAIN_SECONDS="300"))
        serving.url = serving.read_until("Console").split()[1].rstrip("/")
        connection = stack.enter_context(closing(serving.connect()))
        connection.putrequest("POST", "/accounts/login/")
        connection.putheader("Content-Length", "10")
        connection.endheaders(b"half of")
        server_side_knows(serving)

        serving.process.send_signal(signal.SIGINT)
        serving.read_until("Stopping")
        status = serving.stop(signal.SIGINT)

    assert status == 0


def test_nothing_outlives_a_killed_supervisor(installation: Installation) -> None:
    with installation.serving() as serving:
        serving.wait_until_ready()
        children = serving.children()
        serving.process.kill()
        serving.process.wait()

        wait_until(lambda: not any(map(_is_running, children)), "every child ended")


def _is_running(process: psutil.Process) -> bool:
    """Whether it does anything; an orphan that ended may wait for the machine to take note of it."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def test_the_sandbox_moves_when_its_port_was_taken(installation: Installation) -> None:
    port_file = installation.data_dir / "sandbox_port"
    before = int(port_file.read_text())
    with ExitStack() as stack:
        with suppress(OSError):  # else another installation's sandbox has it, which is as good
            stack.enter_context(socket.create_server(("127.0.0.1", before)))
        serving = stack.enter_context(installation.serving("--roles", "sandbox"))
        serving.read_until("Ctrl-C")
        status = serving.stop()

    after = int(port_file.read_text())
    assert status == 0
    assert after != before
    assert installation.rows("SELECT base_url FROM billing_channel") == [(f"http://127.0.0.1:{after}",)]


def _all(children: list[psutil.Process], number: int) -> list[psutil.Process]:
    return children if len(children) >= number else []


def server_side_knows(serving: Serving) -> None:
    """Connections are accepted and read in turn: once a later one is answered, the earlier ones are known."""
    for _ in range(8):
        assert serving.get("/healthz").status == 200


def refuses(serving: Serving) -> bool:
    host, _, port = serving.url.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return True
    return False
