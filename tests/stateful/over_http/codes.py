"""Codes."""

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from redemption.queries import codes_found
from tests.stateful.model.rows import Batch, RefusalError
from tests.stateful.over_http.base import HttpBase, Key, Made, Pick, not_found

Uses = st.sampled_from([(1, 1), (1, 1), (2, 1), (3, 1), (3, 2), (3, 3)])
"""Of a code, and of one person."""
NOBODYS = Made(0, "0000-0000-0000-0000-0")


class CodeRules(HttpBase):
    @rule(quota=st.integers(1, 100), count=st.integers(1, 2), uses=Uses, once=st.booleans(), key=Key)
    @precondition(lambda self: len(self.codes) < 8)
    def make_codes(self, quota: int, count: int, uses: tuple[int, int], once: bool, key: int | None) -> None:
        """
        :param once: whether a person may use the batch once
        """
        terms = Batch(quota, *uses, once)
        names = ("quota", "uses_per_code", "uses_per_user", "is_once_per_user")
        body = {"name": "a batch", "count": count, **{name: getattr(terms, name) for name in names}}
        batch = self._ask("POST", "/code-batches", body, key, lambda: None)
        if batch is not None:
            made = [Made(codes_found(text).get().pk, text) for text in batch["codes"]]
            self.codes += made
            self.ledger.make_codes(batch["id"], terms, [code.pk for code in made])

    @rule(user=Pick, code=Pick | st.none(), key=Key)
    @precondition(lambda self: self.codes)
    def redeem(self, user: int, code: int | None, key: int | None) -> None:
        """None stands for a code that nobody made."""
        pk = self._user(user)
        made = NOBODYS if code is None else self.codes[code % len(self.codes)]
        self._movement(
            "/redemptions", {"code": made.text}, key, lambda: self.ledger.redeem(made.pk, pk), asker=pk
        )

    @rule(code=Pick, status=st.sampled_from(["enabled", "disabled"]))
    @precondition(lambda self: self.codes)
    def enable_or_disable_code(self, code: int, status: str) -> None:
        pk = self.codes[code % len(self.codes)].pk
        self._ask(
            "PATCH",
            f"/codes/{pk}",
            {"status": status},
            None,
            lambda: self.ledger.set_code_status(pk, status),
        )

    @rule(batch=Pick, status=st.sampled_from(["disabled", "ready", "ready", "ready", "revoked"]))
    @precondition(lambda self: self.ledger.batches)
    def change_batch(self, batch: int, status: str) -> None:
        pk = [*self.ledger.batches][batch % len(self.ledger.batches)]
        path, in_model = f"/code-batches/{pk}", lambda: self.ledger.set_batch_status(pk, status)
        if status == "revoked":
            self._ask("POST", f"{path}/revoke", None, None, in_model)
        else:
            name = "enabled" if status == "ready" else status
            self._ask("PATCH", path, {"status": name}, None, in_model)

    @rule(code=Pick, use=st.none() | Pick, of_another=st.booleans(), allow_partial=st.booleans(), key=Key)
    @precondition(lambda self: self.ledger.redemptions)
    def reverse_code(
        self, code: int, use: int | None, of_another: bool, allow_partial: bool, key: int | None
    ) -> None:
        """
        :param use: which entry is named; None for none
        :param of_another: whether it may be another code's
        """
        pk = self.codes[code % len(self.codes)].pk
        places = [r.entry for r in self.ledger.redemptions if of_another or r.code_id == pk]
        place = places[use % len(places)] if use is not None and places else None
        body = {"memo": "a mistake", "allow_partial": allow_partial}
        if place is not None:
            body["entry_id"] = self.pks[place]

        def in_model() -> int:
            chosen = self._entry_of(pk, place)
            return self.ledger.reverse(chosen, self._ledger_key(key), allow_partial=allow_partial)

        self._movement(f"/codes/{pk}/reverse", body, key, in_model)

    def _entry_of(self, pk: int, place: int | None) -> int:
        """The named entry of a code, or its only one."""
        places = self.ledger.entries_of_code(pk)
        if place is not None:
            return place if place in places else not_found()
        if len(places) == 1:
            return places[0]
        raise RefusalError("which_redemption" if places else "not_redeemed")
