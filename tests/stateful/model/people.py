"""People and their tokens."""

from tests.stateful.model.books import Books, movement
from tests.stateful.model.rows import Account


class People(Books):
    def create_user(self, account_id: int, quota: int) -> None:
        self.accounts[account_id] = Account()
        if quota:
            self.post(movement(account_id, "top_up", quota))

    def set_user_status(self, account_id: int, status: str) -> None:
        self.check_may_manage(account_id)
        self.accounts[account_id].status = status

    def live_tokens(self) -> list[int]:
        return [token_id for token_id, token in self.tokens.items() if not token.is_deleted]
