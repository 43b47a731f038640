"""Single codes: disabling and enabling them. What one gave is taken back by reversing its entry."""

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext_lazy as _

from accounts.models import AuditAction, User
from accounts.services import audit
from oneapi_admin.lib.errors import DomainError
from redemption.models import CodeBatch, CodeStatus, RedemptionCode


class CodeUsedError(DomainError):
    code = "code_used"
    http_status = 409
    message = _("The code …%(hint)s is used up and stays as it is.")
    remedy = _("What it gave can be taken back.")


def set_code_status(*, actor: User | None, code: RedemptionCode, is_enabled: bool) -> None:
    """Disable a code or enable it again.

    :raises CodeUsedError: if it is used up, which it stays
    """
    wanted = CodeStatus.ENABLED if is_enabled else CodeStatus.DISABLED
    with transaction.atomic():
        locked = RedemptionCode.objects.select_for_update(no_key=True).get(pk=code.pk)
        if locked.status == CodeStatus.USED:
            raise CodeUsedError(hint=locked.hint)
        if locked.status == wanted:
            return
        changes = audit.differences({"status": locked.status}, {"status": wanted})
        locked.status = wanted
        locked.save(update_fields=["status"])
        _count_disabled(locked, -1 if is_enabled else 1)
        audit.record(action=AuditAction.CODE_STATUS_CHANGED, actor=actor, subject=locked, changes=changes)


def _count_disabled(code: RedemptionCode, change: int) -> None:
    left = F("uses_per_code") - code.used_count
    CodeBatch.objects.filter(pk=code.batch_id).update(
        disabled_count=F("disabled_count") + change, disabled_uses=F("disabled_uses") + change * left
    )
