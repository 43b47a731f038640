"""Codes that become quota."""

from tests.stateful.model.books import Books, movement
from tests.stateful.model.rows import RefusalError


class Codes(Books):
    def redeem(self, code_id: int | None, account_id: int) -> int:
        """:param code_id: None for a code that was never made"""
        code = self.codes.get(code_id) if code_id is not None else None
        if code is None or code.status != "enabled":
            raise RefusalError("code_not_redeemable")
        entry = self.post(movement(account_id, "redemption", code.quota, f"code:{code_id}"))
        code.status, code.redeemed_by = "used", account_id
        return entry

    def set_code_status(self, code_id: int, status: str) -> bool:
        code = self.codes[code_id]
        if code.status != "used":
            code.status = status
        return code.status == status
