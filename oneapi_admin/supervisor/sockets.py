"""Taking a port, with messages that say what to do when it cannot be had."""

import errno
import socket


class PortUnavailableError(Exception):
    """The port cannot be listened on; the message says why."""


def bind(host: str, port: int) -> socket.socket:
    """Bind a TCP socket without listening yet: nobody can connect before there is someone to answer.

    :param port: 0 for any free port
    :raises PortUnavailableError: if the address is taken, not ours, or not allowed
    """
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as exc:
        raise PortUnavailableError(f"{host} is no address of this machine: {exc}") from exc
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as exc:
        listener.close()
        raise PortUnavailableError(_reason(exc, host, port)) from exc
    return listener


def listen(listener: socket.socket) -> None:
    """Accept connections from now on.

    :raises PortUnavailableError: if another process was quicker since :func:`bind`
    """
    host, port = listener.getsockname()[:2]
    try:
        listener.listen(2048)
    except OSError as exc:
        raise PortUnavailableError(_reason(exc, host, port)) from exc


def is_free(host: str, port: int) -> bool:
    """Whether nobody listens on the port."""
    try:
        bind(host, port).close()
    except PortUnavailableError:
        return False
    return True


def url_of(listener: socket.socket) -> str:
    """The address to open in a browser; "every interface" is shown as this machine's own."""
    host, port = listener.getsockname()[:2]
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def _reason(exc: OSError, host: str, port: int) -> str:
    if exc.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is taken by another program. Stop that one, or choose another with PORT."
        )
    if exc.errno == errno.EACCES:
        return f"Port {port} may only be used by the system's administrator. Choose one above 1023 with PORT."
    if exc.errno == errno.EADDRNOTAVAIL:
        return f"{host} is no address of this machine. Set HOST to one that is, or to 0.0.0.0 for all."
    return f"Cannot use port {port} on {host}: {exc.strerror or exc}."
