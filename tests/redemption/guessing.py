"""Codes that can be redeemed and codes that cannot, and trying them."""

import itertools
from datetime import datetime, timedelta

from accounts.models import User
from redemption import code_format
from redemption.models import RedemptionCode
from redemption.services import attempts, batches, codes, making, redeeming, sealed
from tests.factories import NOON, make_admin

_numbers = itertools.count(1)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def make_codes(count: int = 1, *, quota: int = 500, **terms: object) -> list[str]:
    """Codes in clear, valid from now on."""
    wanted = batches.BatchTerms(**{"name": "spring", "quota": quota, "count": count, **terms})
    batch = batches.create_batch(actor=None, terms=wanted, at=NOON)
    making.make_codes(batch=batch, at=NOON)
    batch.refresh_from_db()
    return list(sealed.open_codes(actor=None, batch=batch, how="test", at=NOON))


def unknown_code() -> str:
    """One that nobody made, and no two the same; without typing errors."""
    return code_format.written(next(_numbers).to_bytes(code_format.RANDOM_BYTES, "big"))[0]


def used_code() -> str:
    [code] = make_codes()
    redeeming.redeem(code=code, user=make_admin(), at=NOON)
    return code


def disabled_code() -> str:
    [code] = make_codes()
    newest = RedemptionCode.objects.latest("pk")
    codes.set_code_status(actor=None, code=newest, is_enabled=False)
    return code


def expired_code() -> str:
    return make_codes(valid_until=NOON + SECOND)[0]


def attempt(user: User, code: str, *, address: str | None = "192.0.2.1", at: datetime = NOON) -> str:
    """Try a code; what became of it."""
    try:
        with attempts.counted(user=user, address=address, at=at):
            redeeming.redeem(code=code, user=user, at=at)
    except redeeming.CodeNotRedeemableError:
        return "refused"
    except attempts.TooManyAttemptsError:
        return "throttled"
    except code_format.CodeMistypedError:
        return "mistyped"
    return "redeemed"


def guess(user: User, count: int, *, address: str | None = "192.0.2.1", at: datetime = NOON) -> list[str]:
    """Try so many codes that nobody made."""
    return [attempt(user, unknown_code(), address=address, at=at) for _ in range(count)]
