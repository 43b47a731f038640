"""A proxy that is every chat service at once: it answers by TLS for whatever host is asked for.

What is asked of a service goes through it, by the same code as in production, and nothing leaves the machine.
"""

import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOSTS = (
    "open.feishu.cn",
    "open.larksuite.com",
    "oapi.dingtalk.com",
    "qyapi.weixin.qq.com",
    "hooks.slack.com",
    "discord.com",
    "api.telegram.org",
    "chat.googleapis.com",
    "api.pushover.net",
    "sctapi.ftqq.com",
    "www.pushplus.plus",
)


@dataclass
class ChatServices:
    url: str
    certificate: Path
    asked: list[str] = field(default_factory=list)
    """``host:port`` of each connection."""
    received: list[tuple[str, str]] = field(default_factory=list)
    """Path and body of each message."""
    status: int = 200
    answer: str = '{"ok": true, "code": 0, "errcode": 0}'
    headers: dict[str, str] = field(default_factory=dict)
    is_asked: threading.Event = field(default_factory=threading.Event)
    hold: threading.Event | None = None
    """Until it is set, answers wait."""


def _certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "every chat service")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in HOSTS]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "chat_services.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


@contextmanager
def chat_services(folder: Path) -> Iterator[ChatServices]:
    """Run the proxy until the block ends. For its address in ``HTTPS_PROXY`` see the fixture ``services``."""
    certificate = _certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            first = self.request.makefile("rb")
            _method, target, _version = first.readline().decode().split()
            while first.readline().strip():
                pass
            services.asked.append(target)
            self.request.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            try:
                with context.wrap_socket(self.request, server_side=True) as connection:
                    self.serve(connection)
            except (ssl.SSLError, OSError):
                """The other side left: it trusts no certificate of a host that is not on the list."""

        def serve(self, connection: ssl.SSLSocket) -> None:
            stream = connection.makefile("rb")
            _method, path, _version = stream.readline().decode().split()
            length = 0
            while line := stream.readline().strip():
                name, _, value = line.decode().partition(":")
                if name.lower() == "content-length":
                    length = int(value)
            services.received.append((path, stream.read(length).decode()))
            services.is_asked.set()
            if services.hold is not None:
                services.hold.wait(30)
            body = services.answer.encode()
            extra = "".join(f"{name}: {value}\r\n" for name, value in services.headers.items())
            head = f"HTTP/1.1 {services.status} Answer\r\nContent-Length: {len(body)}\r\n{extra}Connection: close\r\n\r\n"
            connection.sendall(head.encode() + body)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Server(("127.0.0.1", 0), Handler) as server:
        services = ChatServices(f"http://127.0.0.1:{server.server_address[1]}", certificate)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield services
        finally:
            server.shutdown()
            thread.join()
