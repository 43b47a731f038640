"""Fill the benchmark's database through the product's own services; print the tokens' keys as JSON.

``python -m bench.seed SANDBOX_ORIGIN SANDBOX_KEY ACCOUNTS``
"""

import json
import os
import sys
from decimal import Decimal

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oneapi_admin.settings")
django.setup()

from django.utils import timezone  # noqa: E402  Django has to be set up first

from bench.calls import MODEL  # noqa: E402
from billing.services import accounts, channels, prices, tokens  # noqa: E402
from oneapi_admin.lib.quota import QUOTA_PER_USD  # noqa: E402

QUOTA = 1_000_000 * QUOTA_PER_USD


def main(origin: str, key: str, count: int) -> None:
    now = timezone.now()
    prices.set_model_price(
        actor=None,
        model=MODEL,
        input_price=Decimal(1),
        cached_input_price=Decimal("0.25"),
        output_price=Decimal(2),
        max_output_tokens=4096,
        at=now,
    )
    channels.create_channel(
        actor=None,
        settings=channels.ChannelSettings(name="sandbox", base_url=origin, models=[MODEL]),
        key=key,
    )
    keys = []
    for number in range(count):
        user = accounts.create_user(
            actor=None,
            username=f"caller{number}",
            password="a long pass phrase",
            email=f"caller{number}@example.com",
            quota=QUOTA,
            at=now,
        )
        _token, plaintext = tokens.create_token(actor=user, user=user, name="benchmark")
        keys.append(plaintext)
    print(json.dumps(keys))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
