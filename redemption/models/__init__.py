"""Codes that become quota."""

from redemption.models.attempts import AttackMail, CodeAttack, RefusedAttempts
from redemption.models.batches import BatchDay, BatchState, BatchStatus, CodeBatch, SealedCodes
from redemption.models.codes import CodeStatus, RedemptionCode
from redemption.models.redemptions import Redemption

__all__ = [
    "AttackMail",
    "BatchDay",
    "BatchState",
    "BatchStatus",
    "CodeAttack",
    "CodeBatch",
    "CodeStatus",
    "Redemption",
    "RedemptionCode",
    "RefusedAttempts",
    "SealedCodes",
]
