"""Codes."""

from collections.abc import Callable
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from redemption.models import CodeBatch, RedemptionCode
from redemption.queries import codes_found
from redemption.services import batches, codes
from redemption.services.redeeming import redeem
from tests.factories import codes_in_clear, make_batch
from tests.stateful.model.rows import MAX_QUOTA, Batch
from tests.stateful.services.base import HOLD_MINUTES, Pick, ServicesBase, agree

Worth = st.integers(1, 60) | st.just(MAX_QUOTA)
Uses = st.sampled_from([(1, 1), (1, 1), (2, 1), (3, 1), (3, 2), (3, 3)])
"""Of a code, and of one person."""
Minutes = st.none() | st.sampled_from([HOLD_MINUTES, 60])
NOBODYS = "0000-0000-0000-0000-0"


def _with_spaces(text: str) -> str:
    return text.replace("-", " ")


class CodeRules(ServicesBase):
    @rule(quota=Worth, count=st.integers(1, 2), uses=Uses, once=st.booleans(), since=Minutes, until=Minutes)
    @precondition(lambda self: len(self.codes) < 8)
    def make_codes(
        self,
        quota: int,
        count: int,
        uses: tuple[int, int],
        once: bool,
        since: int | None,
        until: int | None,
    ) -> None:
        """
        :param once: whether a person may use the batch once
        :param until: minutes after they become valid
        """
        begin = self.now + timedelta(minutes=since or 0)
        terms = Batch(
            quota,
            *uses,
            once,
            None if since is None else begin,
            None if until is None else begin + timedelta(minutes=until),
        )
        said = {name: value for name, value in vars(terms).items() if name != "status"}
        batch = make_batch(self.world.admin, at=self.now, count=count, **said)
        texts = codes_in_clear(batch)
        pks = [codes_found(text).get().pk for text in texts]
        self.codes += zip(pks, texts, strict=True)
        self.ledger.make_codes(batch.pk, terms, pks)

    @rule(
        user=Pick,
        code=Pick | st.none(),
        write=st.sampled_from([str, str.lower, _with_spaces]),
        changed=st.none() | st.booleans(),
    )
    @precondition(lambda self: self.codes)
    def redeem(self, user: int, code: int | None, write: Callable[[str], str], changed: bool | None) -> None:
        """
        :param code: None stands for one that nobody made
        :param changed: whether it is enabled or disabled afterwards; None for neither
        """
        person = self._user(user)
        pk, text = (None, NOBODYS) if code is None else self.codes[code % len(self.codes)]
        self._movement(
            lambda: self.ledger.redeem(pk, person.pk, self.now),
            lambda: redeem(code=write(text), user=person, at=self.now),
        )
        if code is not None and changed is not None:
            self.enable_or_disable_code(code, changed)

    @rule(code=Pick, is_enabled=st.booleans())
    @precondition(lambda self: self.codes)
    def enable_or_disable_code(self, code: int, is_enabled: bool) -> None:
        pk, _text = self.codes[code % len(self.codes)]
        row = RedemptionCode.objects.get(pk=pk)
        agree(
            lambda: self.ledger.set_code_status(pk, "enabled" if is_enabled else "disabled"),
            lambda: codes.set_code_status(actor=self.world.admin, code=row, is_enabled=is_enabled),
        )

    @rule(batch=Pick, status=st.sampled_from(["disabled", "ready", "ready", "ready", "revoked"]))
    @precondition(lambda self: self.ledger.batches)
    def change_batch(self, batch: int, status: str) -> None:
        pk = [*self.ledger.batches][batch % len(self.ledger.batches)]
        row = CodeBatch.objects.get(pk=pk)

        def in_product() -> None:
            if status == "revoked":
                batches.revoke_batch(actor=self.world.admin, batch=row)
            else:
                is_enabled = status == "ready"
                batches.set_batch_status(actor=self.world.admin, batch=row, is_enabled=is_enabled)

        agree(lambda: self.ledger.set_batch_status(pk, status), in_product)
