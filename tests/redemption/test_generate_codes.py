"""Making codes from a shell."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from redemption.models import CodeBatch, RedemptionCode, SealedCodes
from redemption.services.redeeming import redeem
from tests.factories import balance_of, make_user

pytestmark = pytest.mark.django_db(transaction=True)


def generate(*arguments: str) -> tuple[list[str], str]:
    """The lines of standard output, and what is said beside them."""
    out, err = io.StringIO(), io.StringIO()
    call_command("generate_codes", "--batch", "spring", *arguments, stdout=out, stderr=err)
    return out.getvalue().splitlines(), err.getvalue()


def test_codes_are_written_once_and_good() -> None:
    lines, said = generate("--count", "250", "--quota", "500")

    batch, user = CodeBatch.objects.get(), make_user()
    redeem(code=lines[249], user=user, at=timezone.now())
    assert len(set(lines)) == 250 == RedemptionCode.objects.count()
    assert balance_of(user) == 500
    assert said == f"Batch {batch.pk}, “spring”: 250 codes made.\n"
    assert (batch.created_by, batch.sealed_until) == (None, None)
    assert not SealedCodes.objects.exists()


def test_all_terms_can_be_said() -> None:
    generate(
        *(
            "--count",
            "1",
            "--usd",
            "1.5",
            "--tag",
            "fair",
            "--note",
            "n",
            "--group",
            "vip",
            "--once-per-user",
        ),
        *("--valid-from", "2099-01-01T00:00:00Z", "--valid-until", "2099-02-01 00:00:00+08:00"),
        *("--uses-per-code", "5", "--uses-per-user", "2"),
    )

    batch = CodeBatch.objects.get()
    assert (batch.quota, batch.tag, batch.note, batch.group) == (750_000, "fair", "n", "vip")
    assert (batch.uses_per_code, batch.uses_per_user, batch.is_once_per_user) == (5, 2, True)
    assert batch.valid_from.isoformat() == "2099-01-01T00:00:00+00:00"
    assert batch.valid_until.isoformat() == "2099-01-31T16:00:00+00:00"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--count", "1"], "--quota --usd is required"),
        (["--count", "1", "--quota", "5", "--usd", "1"], "not allowed with"),
        (["--count", "x", "--quota", "5"], "invalid int"),
        (["--count", "0", "--quota", "5"], "between 1 and 1000000 codes"),
        (["--count", "1", "--quota", "-5"], "more than 0"),
        (["--count", "1", "--usd", "1e-9"], "1e-9 is no amount"),
        (["--count", "1", "--usd", "NaN"], "NaN is no amount"),
        (["--count", "1", "--quota", "5", "--valid-until", "soon"], "soon is no time"),
        (["--count", "1", "--quota", "5", "--valid-until", "2026-02-30T00:00:00Z"], "no time that there is"),
        (["--count", "1", "--quota", "5", "--valid-until", "2001-01-01T00:00:00Z"], "in the future"),
        (["--count", "1", "--quota", "5", "--group", "Not A Group"], "small letters"),
    ],
)
def test_what_makes_no_sense_is_refused_saying_what(arguments: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        generate(*arguments)

    assert not CodeBatch.objects.exists()


class FullDisk(io.StringIO):
    def flush(self) -> None:
        raise OSError(28, "No space left on device")


def test_codes_that_could_not_be_written_can_still_be_exported() -> None:
    with pytest.raises(CommandError, match=r"No space left.*Export batch"):
        call_command("generate_codes", "--batch=b", "--count=3", "--quota=5", stdout=FullDisk())

    assert SealedCodes.objects.exists()
