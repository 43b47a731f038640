"""A One API site that tells balances, on all addresses of this machine."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Site:
    """A One API site on all addresses of this machine, whose every answer takes a while."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.lock = threading.Lock()
        self.asked: Counter[str] = Counter()
        self.at_once: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()
        self.takes_s = 0.0

    def url(self, host: int) -> str:
        return f"http://127.0.0.{host}:{self.port}"

    @contextmanager
    def answering(self, host: str) -> Iterator[None]:
        with self.lock:
            self.at_once[host] += 1
            for name, count in ((host, self.at_once[host]), ("all", self.at_once.total())):
                self.most_at_once[name] = max(self.most_at_once[name], count)
        try:
            yield
        finally:
            with self.lock:
                self.at_once[host] -= 1


@contextmanager
def balance_site() -> Iterator[Site]:
    """Run one until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = self.headers["Host"].partition(":")[0]
            with site.answering(host):
                time.sleep(site.takes_s)  # it is a slow site
                body = {"object": "billing_subscription", "hard_limit_usd": 10, "total_usage": 100}
                if self.path.endswith("/subscription"):
                    with site.lock:
                        site.asked[self.headers["Authorization"]] += 1
                raw = json.dumps(body).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 256

    with Server(("0.0.0.0", 0), Handler) as server:
        site = Site(server.server_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield site
        server.shutdown()
