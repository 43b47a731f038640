"""People, their tokens, and time."""

from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from accounts.services import users as people
from billing.services import tokens
from tests.factories import make_token, make_user
from tests.stateful.model.rows import Token
from tests.stateful.services.base import HOLD_MINUTES, Pick, ServicesBase, agree

Quota = st.integers(0, 400)
Limit = st.none() | st.integers(0, 60) | st.integers(0, 60)
Minutes = st.sampled_from([-1, 0, 1, HOLD_MINUTES, 60])


class PeopleRules(ServicesBase):
    @rule(quota=Quota)
    @precondition(lambda self: len(self.users) < 3)
    def create_user(self, quota: int) -> None:
        user = make_user(balance=quota)
        self.users.append(user)
        self.ledger.create_user(user.pk, quota)

    @rule(user=Pick, status=st.sampled_from(["disabled", "enabled", "enabled", "enabled", "deleted"]))
    @precondition(lambda self: len(self.users) > 1)
    def change_user(self, user: int, status: str) -> None:
        person = self._user(user)
        agree(
            lambda: self.ledger.set_user_status(person.pk, status),
            lambda: people.update_user(
                actor=self.world.admin,
                user=person,
                display_name="",
                email=person.email,
                role=person.role,
                group=person.group,
                status=status,
            ),
        )

    @rule(user=Pick, limit=Limit)
    @precondition(lambda self: len(self.made) < 5)
    def create_token(self, user: int, limit: int | None) -> None:
        made = make_token(self._user(user), quota_limit=limit)
        self.made[made.token.pk] = made
        self.ledger.tokens[made.token.pk] = Token(made.token.user_id, made.key_hash, limit)

    @rule(token=Pick, limit=Limit, minutes=st.none() | Minutes)
    @precondition(lambda self: self.ledger.live_tokens())
    def edit_token(self, token: int, limit: int | None, minutes: int | None) -> None:
        row, known = self._token(token)
        known.limit = limit
        known.expires_at = None if minutes is None else self.now + timedelta(minutes=minutes)
        tokens.update_token(
            actor=self.world.admin,
            token=row,
            name=row.name,
            quota_limit=limit,
            expires_at=known.expires_at,
            allowed_models=[],
            allowed_networks=[],
        )

    @rule(token=Pick, action=st.sampled_from(["disable", "enable", "enable", "enable", "rotate", "delete"]))
    @precondition(lambda self: self.ledger.live_tokens())
    def change_token(self, token: int, action: str) -> None:
        row, known = self._token(token)
        if action == "rotate":
            self.old_keys[row.pk] = known.key
            tokens.rotate_token(actor=self.world.admin, token=row)
            known.key = row.key_hash
        elif action == "delete":
            known.is_deleted = True
            for _twice in range(2):
                tokens.delete_token(actor=self.world.admin, token=row)
        else:
            known.is_enabled = action == "enable"
            tokens.set_token_status(actor=self.world.admin, token=row, is_enabled=known.is_enabled)

    @rule(minutes=st.sampled_from([1, HOLD_MINUTES, 60, 24 * 60]))
    def let_time_pass(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
