"""What alert rules are told of attacks on codes."""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from billing.services.alerts.installation import of_installation
from billing.services.alerts.readings import Reading
from redemption.models import CodeAttack


def readings(_at: datetime) -> Iterator[Reading]:
    """1 while somebody is guessing codes; each attack counts for itself."""
    attack = CodeAttack.objects.open().first()
    if attack is None:
        yield of_installation(Decimal(0))
    else:
        yield of_installation(Decimal(1), period=str(attack.pk))
