"""Clients who redeem codes through the service, as threads.

``python -m bench.redeeming CLIENTS SECONDS USERS``

Reads codes from standard input up to an empty line, connects, says that it is ready, and begins with the next
line: connecting counts no more than it does in pgbench's figure.
Prints how many it redeemed, and in how many seconds.
"""

import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import django


def main(clients: int, seconds: float, users: int) -> None:
    django.setup()
    from django.db import connection

    from accounts.models import User
    from redemption.services.redeeming import redeem

    codes = iter([line.strip() for line in iter(sys.stdin.readline, "\n")])
    people = list(User.objects.order_by("pk")[:users])
    are_connected, begins = threading.Barrier(clients + 1), threading.Event()

    def client(_number: int) -> int:
        connection.ensure_connection()
        are_connected.wait()
        begins.wait()
        deadline = time.perf_counter() + seconds
        done = 0
        while time.perf_counter() < deadline:
            redeem(code=next(codes), user=random.choice(people), at=datetime.now(tz=UTC))
            done += 1
        connection.close()
        return done

    with ThreadPoolExecutor(clients) as pool:
        results = pool.map(client, range(clients))
        are_connected.wait()
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.perf_counter()
        begins.set()
        done = sum(results)
    print(done, time.perf_counter() - began)


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
