"""People and their tokens."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from accounts.models import User
from accounts.services.access_tokens import create_access_token
from docs.examples.oneapi_admin_client import Client
from tests.stateful.model.rows import RefusalError, Token
from tests.stateful.over_http.base import HttpBase, Key, Pick, not_found, numbers

Quota = st.integers(0, 600)
Limit = st.none() | st.integers(0, 400)


class PeopleRules(HttpBase):
    @rule(quota=Quota, key=Key)
    @precondition(lambda self: len(self.users) < 3)
    def create_user(self, quota: int, key: int | None) -> None:
        name = f"u{self.example}-{next(numbers)}"
        body = {"username": name, "password": "a long pass phrase", "quota": quota}
        user = self._ask("POST", "/users", body, key, lambda: None)
        if user is not None:
            self.ledger.create_user(user["id"], quota)
            self.users.append(user["id"])
            person = User.objects.get(pk=user["id"])
            _token, access = create_access_token(actor=None, user=person, name="own", scopes=["redeem"])
            self.clients[person.pk] = Client(self.site.web.origin, access)

    @rule(user=Pick, status=st.sampled_from(["disabled", "enabled", "enabled", "deleted"]))
    def change_user(self, user: int, status: str) -> None:
        pk = self._user(user)
        path, in_model = f"/users/{pk}", lambda: self._set_status(pk, status)
        if status == "deleted":
            self._ask("DELETE", path, None, None, in_model)
        else:
            self._ask("PATCH", path, {"status": status}, None, in_model)

    @rule(user=Pick, limit=Limit, key=Key)
    @precondition(lambda self: len(self.ledger.tokens) < 5)
    def create_token(self, user: int, limit: int | None, key: int | None) -> None:
        pk = self._user(user)
        body = {"name": "a token", "user_id": pk, "quota_limit": limit}
        made = self._ask("POST", "/tokens", body, key, lambda: self._check_present(pk))
        if made is not None:
            self.ledger.tokens[made["id"]] = Token(pk, made["key"], limit)

    @rule(
        token=Pick,
        changes=st.fixed_dictionaries(
            {},
            optional={
                "quota_limit": Limit,
                "status": st.sampled_from(["enabled", "disabled"]),
                "expires_at": st.sampled_from([None, -1, 1]),
            },
        ),
    )
    @precondition(lambda self: self.ledger.live_tokens())
    def edit_token(self, token: int, changes: dict[str, Any]) -> None:
        pk, known = self._token(token)
        body = dict(changes)
        if body.get("expires_at") is not None:
            at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=body["expires_at"])
            body["expires_at"] = at.isoformat()

        def in_model() -> None:
            self._check_present(known.account_id)
            if changes.get("expires_at") == -1:
                raise RefusalError("invalid_request")

        changed = self._ask("PATCH", f"/tokens/{pk}", body, None, in_model)
        if changed is not None:
            known.limit = body.get("quota_limit", known.limit)
            known.is_enabled = body.get("status", "enabled" if known.is_enabled else "") == "enabled"
            if "expires_at" in body:
                known.expires_at = body["expires_at"] and datetime.fromisoformat(body["expires_at"])

    @rule(token=Pick, key=Key)
    @precondition(lambda self: self.ledger.live_tokens())
    def rotate_token(self, token: int, key: int | None) -> None:
        pk, known = self._token(token)
        path = f"/tokens/{pk}/rotate"
        rotated = self._ask("POST", path, None, key, lambda: self._check_present(known.account_id))
        if rotated is not None:
            self.old_keys[pk], known.key = known.key, rotated["key"]

    @rule(token=Pick)
    @precondition(lambda self: self.ledger.live_tokens())
    def delete_token(self, token: int) -> None:
        pk, known = self._token(token)
        if self.ledger.accounts[known.account_id].status != "deleted":
            known.is_deleted = True
            self._ask("DELETE", f"/tokens/{pk}", None, None, lambda: None)
        self._ask("DELETE", f"/tokens/{pk}", None, None, not_found)

    @rule(user=Pick)
    def look_at_a_user(self, user: int) -> None:
        pk = self._user(user)
        seen = self._ask("GET", f"/users/{pk}", None, None, lambda: self._check_present(pk))
        if seen is not None:
            account = self.ledger.accounts[pk]
            figures = (account.balance, account.held, account.used, account.calls)
            names = ("balance", "held", "used_quota", "request_count")
            assert tuple(seen[name] for name in names) == figures
