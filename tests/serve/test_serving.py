"""A running installation: what it answers, and how it bears losing a process."""

import contextlib
import socket
from urllib.parse import urlsplit

import pytest

from tests.serve.installation import Installation, Serving, wait_until


def test_it_says_where_it_is(server: Serving) -> None:
    assert f"Console   {server.url}/" in server.output
    assert f"Data      {server.installation.data_dir}" in server.output
    assert "Roles     web, worker, beat, sandbox" in server.output
    assert "password" not in server.output


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_process_answers_for_its_own_health(server: Serving, method: str) -> None:
    answer = server.get("/healthz", method, host="any.name.at.all")

    assert answer.status == 200
    assert answer.headers["X-Oneapi-Request-Id"]
    assert answer.text == ('{"status": "ok"}' if method == "GET" else "")


def test_health_takes_no_other_method(server: Serving) -> None:
    assert server.send("POST", "/healthz", body=b"x").status == 405


def test_pages_are_served(server: Serving) -> None:
    login, unknown, head = (
        server.get("/accounts/login/"),
        server.get("/nope"),
        server.get("/accounts/login/", "HEAD"),
    )

    assert login.status == 200
    assert "<form" in login.text
    assert login.headers["X-Oneapi-Request-Id"]
    assert "Server" not in login.headers
    assert unknown.status == 404
    assert "<html" in unknown.text
    assert (head.status, head.text) == (200, "")


def test_static_files_are_compressed_and_kept_by_browsers(server: Serving) -> None:
    page = server.get("/accounts/login/").text
    path = page.split('href="/static/css/app.')[1].split('"')[0]

    answer = server.get(f"/static/css/app.{path}", accept_encoding="br")

    assert answer.status == 200
    assert answer.headers["Content-Encoding"] == "br"
    assert answer.headers["Cache-Control"] == "max-age=315360000, public, immutable"


def test_the_relay_answers_on_the_same_port(server: Serving) -> None:
    answer = server.get("/v1/models")

    assert answer.status == 401
    assert answer.headers["X-Oneapi-Request-Id"]
    assert "error" in answer.text


def test_a_body_without_a_length_reaches_the_form(server: Serving) -> None:
    cookie = server.get("/accounts/login/").headers["Set-Cookie"].split(";")[0]
    token = cookie.partition("=")[2]
    form = f"csrfmiddlewaretoken={token}&login=nobody&password=wrong".encode()
    headers = {
        "Cookie": cookie,
        "Content-Type": "application/x-www-form-urlencoded",
        "Transfer-Encoding": "chunked",
    }

    answer = server.send(
        "POST", "/accounts/login/", body=iter([form[:9], form[9:]]), headers=headers, encode_chunked=True
    )

    assert answer.status in (200, 422)
    assert 'value="nobody"' in answer.text


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_body_that_is_too_large_is_refused(server: Serving, framing: str) -> None:
    with contextlib.closing(server.connect()) as connection:
        connection.putrequest("POST", "/accounts/login/")
        if framing == "chunks":
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
            with contextlib.suppress(OSError):  # it may hang up on us half-way
                for _ in range(5):
                    connection.send(chunk)
        else:
            connection.putheader("Content-Length", str(5 * 1024 * 1024))
            connection.endheaders()

        assert connection.getresponse().status == 413


def test_headers_that_never_end_are_refused(server: Serving) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n")
        with contextlib.suppress(OSError):
            for number in range(40):
                connection.sendall(b"x-%d: " % number + b"y" * 4096 + b"\r\n")

        assert b"400 Bad Request" in connection.recv(4096)


def test_nobody_but_a_trusted_proxy_says_who_calls(server: Serving) -> None:
    server.get("/elsewhere/", "POST", x_forwarded_for="203.0.113.9", x_forwarded_proto="https")

    line = wait_until(
        lambda: [line for line in server.log.splitlines() if "elsewhere" in line], "the log line"
    )
    assert '"ip": "127.0.0.1"' in line[0]


def test_valkey_lost_and_found(server: Serving) -> None:
    valkey = server.child("valkey-server")
    assert valkey is not None
    valkey.suspend()
    first = server.get("/readyz")
    valkey.kill()
    wait_until(lambda: server.get("/readyz").status == 200, "ready again")

    assert first.status == 503
    assert '"redis": "unavailable"' in first.text
    assert '"database": "ok"' in first.text


def test_a_killed_web_process_is_replaced(server: Serving) -> None:
    web = server.child("supervisor.web")
    assert web is not None
    web.kill()
    web.wait()

    assert server.get("/healthz").status == 200

    replacement = server.child("supervisor.web")
    assert replacement is not None
    assert replacement.pid != web.pid
    assert "child_died" in server.log


def test_a_second_supervisor_keeps_off_the_data(server: Serving) -> None:
    second = server.installation.manage("serve", "--port", "0")

    assert second.returncode == 1
    assert f"is in use by another `serve`, process {server.process.pid}." in second.stderr
    assert server.get("/readyz").status == 200


def test_a_taken_port_is_named(server: Serving, installation: Installation) -> None:
    port = str(urlsplit(server.url).port)

    second = installation.manage("serve", PORT=port)

    assert second.returncode == 1
    assert second.stderr.strip() == (
        f"CommandError: Port {port} on 127.0.0.1 is taken by another program."
        " Stop that one, or choose another with PORT."
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--roles", "web,cook"), "There is no role “cook”."),
        (("--workers", "0"), "--workers must be at least 1."),
        (("--host", "192.0.2.1"), "192.0.2.1 is no address of this machine."),
    ],
)
def test_wrong_arguments_are_named(
    installation: Installation, arguments: tuple[str, ...], message: str
) -> None:
    done = installation.manage("serve", *arguments)

    assert done.returncode == 1
    assert message in done.stderr


def test_probes_answer_by_whatever_name_they_come(server: Serving) -> None:
    answers = [server.get(path, Host="10.1.2.3") for path in ("/healthz", "/readyz")]

    assert [answer.status for answer in answers] == [200, 200]
