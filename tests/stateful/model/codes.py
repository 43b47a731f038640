"""Codes that become quota."""

from collections.abc import Sequence
from datetime import datetime

from tests.stateful.model.books import Books, movement
from tests.stateful.model.rows import Batch, Code, Redemption, RefusalError


class Codes(Books):
    def make_codes(self, batch_id: int, batch: Batch, code_ids: Sequence[int]) -> None:
        self.batches[batch_id] = batch
        for code_id in code_ids:
            self.codes[code_id] = Code(batch_id)

    def redeem(self, code_id: int | None, account_id: int, at: datetime | None = None) -> int:
        """
        :param code_id: None for a code that was never made
        :param at: None where no code has a time
        """
        code = self.codes.get(code_id) if code_id is not None else None
        if code_id is None or code is None or not self._is_redeemable(code, account_id, at):
            raise RefusalError("code_not_redeemable")
        batch = self.batches[code.batch_id]
        entry = self.post(movement(account_id, "redemption", batch.quota, f"code:{code_id}"))
        code.users.append(account_id)
        if len(code.users) == batch.uses_per_code:
            code.status = "used"
        self.redemptions.append(Redemption(code_id, len(code.users), account_id, entry))
        return entry

    def set_code_status(self, code_id: int, status: str) -> None:
        code = self.codes[code_id]
        if code.status == "used":
            raise RefusalError("code_used")
        code.status = status

    def set_batch_status(self, batch_id: int, status: str) -> None:
        """Disabled, ready again, or revoked, which is final."""
        batch = self.batches[batch_id]
        if batch.status == "revoked":
            raise RefusalError("batch_state")
        batch.status = status

    def entries_of_code(self, code_id: int) -> list[int]:
        """Which of all entries its redemptions made."""
        return [redemption.entry for redemption in self.redemptions if redemption.code_id == code_id]

    def batch_figures(self, batch_id: int) -> tuple[int, int, int, int]:
        """How often codes were redeemed, how many are used up and disabled, and the uses that those had left."""
        batch = self.batches[batch_id]
        codes = [code for code in self.codes.values() if code.batch_id == batch_id]
        disabled = [batch.uses_per_code - len(code.users) for code in codes if code.status == "disabled"]
        used = [code for code in codes if code.status == "used"]
        return sum(len(code.users) for code in codes), len(used), len(disabled), sum(disabled)

    def _is_redeemable(self, code: Code, account_id: int, at: datetime | None) -> bool:
        batch = self.batches[code.batch_id]
        return (
            (code.status, batch.status) == ("enabled", "ready")
            and (batch.valid_from is None or at is None or batch.valid_from <= at)
            and (batch.valid_until is None or at is None or at < batch.valid_until)
            and code.users.count(account_id) < batch.uses_per_user
            and not (batch.is_once_per_user and self._has_used(code.batch_id, account_id))
        )

    def _has_used(self, batch_id: int, account_id: int) -> bool:
        return any(code.batch_id == batch_id and account_id in code.users for code in self.codes.values())
