"""Compares what clients saw and what the upstream served with the books, call by call."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from bench.accuracy.callers import Caller
from bench.accuracy.clients import Ending, Seen
from bench.accuracy.prices import price
from bench.accuracy.records import Books, Row, Served
from bench.accuracy.traffic import LONGEST_ANSWER, Call

ROLE_TOKENS = 1
"""What the relay counts for a prompt beyond what the sandbox does, where no provider reports usage."""
RELAY_DIED = "relay_died"
"""The error code of a stream that was charged from the journal of a process that was killed."""


class Fault(Enum):
    """What must never happen."""

    OVERSPEND = "overspend"
    UNDERSPEND = "underspend"
    DOUBLE_CHARGE = "double charges"
    LEAKED_HOLD = "leaked holds"
    LOST_ROW = "lost usage rows"
    FREE_CALL = "free calls"
    UNEXPLAINED = "unexplained answers"


EXPLANATIONS = {
    Fault.OVERSPEND: "an account or token below 0, a call charged above its hold",
    Fault.UNDERSPEND: "refused although there was enough, then or in the end",
    Fault.DOUBLE_CHARGE: "charged twice, too much, for nothing or to somebody else; books that do not add up",
    Fault.LEAKED_HOLD: "still held when no call is under way",
    Fault.LOST_ROW: "served, or failed upstream, and not in the books",
    Fault.FREE_CALL: "served and not charged, or too little",
    Fault.UNEXPLAINED: "an answer that this load does not explain, or none",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LastRefusal:
    """A refusal when no other call was under way and nothing was given any more."""

    caller: int
    needed: int


@dataclass(slots=True, kw_only=True)
class Observations:
    """Everything that was seen from outside, and the books."""

    callers: Sequence[Caller]
    granted: Mapping[int, int]
    """Quota units that each account was given, as the program that gave them knows."""
    seen: Sequence[Seen]
    last_refusals: Sequence[LastRefusal]
    served: Mapping[int, Sequence[Served]]
    """What the sandbox served, by the numbers of the calls; scripted upstreams keep no record."""
    books: Books
    may_break: bool = False
    """Whether processes were killed: connections may have broken then, and usage been counted by us."""


@dataclass(slots=True)
class Findings:
    faults: dict[Fault, list[str]] = field(default_factory=lambda: defaultdict(list))
    unknown: int = 0
    """Calls whose clients never learnt their request ids."""
    explained: int = 0
    """Rows of those calls."""
    recovered: int = 0
    """Streams that were charged from a dead process's journal."""
    recovered_tokens: int = 0
    recovered_words: int = 0
    """What was charged for those streams, and what their clients had got of them at least."""

    def add(self, fault: Fault, text: str) -> None:
        self.faults[fault].append(text)

    @property
    def is_clean(self) -> bool:
        return not any(self.faults.values())


def check(observed: Observations) -> Findings:
    """Compare everything; what is found is a fault of the product, or of this benchmark."""
    findings = Findings()
    _Calls(observed, findings).check()
    _check_accounts(observed, findings)
    _check_tokens(observed, findings)
    _check_entries(observed.books, findings)
    _check_holds(observed.books, findings)
    _check_last_refusals(observed, findings)
    return findings


class _Calls:
    """The part that goes call by call."""

    def __init__(self, observed: Observations, findings: Findings) -> None:
        self._observed = observed
        self._add = findings.add
        self._findings = findings
        self._rows: dict[str, list[Row]] = defaultdict(list)
        for row in observed.books.rows:
            self._rows[row.request_id].append(row)
        self._unknown: list[Call] = []

    def check(self) -> None:
        for request_id, rows in self._rows.items():
            if len(rows) > 1:
                self._add(Fault.DOUBLE_CHARGE, f"{request_id}: {len(rows)} rows")
        for seen in self._observed.seen:
            if seen.request_id:
                self._check_known(seen)
            else:
                self._check_unknown(seen)
        self._match_unknown()

    def _check_known(self, seen: Seen) -> None:
        rows = self._rows.pop(seen.request_id, [])
        row = rows[0] if rows else None
        if row is not None:
            self._check_row(seen, row)
        if seen.refusal is not None:
            self._check_refusal(seen, row)
        elif seen.status != 200:
            self._check_failure(seen, row)
        elif seen.events or seen.is_complete or seen.ending == Ending.WHOLE:
            self._check_served(seen, row)
        else:  # a head and nothing whole after it: JSON is charged by then, a stream may be and need not
            if row is not None:
                self._check_charge(seen, row)
            elif not seen.call.kind.is_stream:
                self._add(Fault.LOST_ROW, f"{seen.request_id}: answered, no row")
            if seen.ending != Ending.LEFT and not self._observed.may_break:
                self._add(Fault.UNEXPLAINED, f"{seen.request_id}: {seen.ending.value} after the head")

    def _check_row(self, seen: Seen, row: Row) -> None:
        caller = self._observed.callers[seen.call.caller]
        if (row.account_id, row.token_id) != (caller.account_id, caller.token_id):
            self._add(Fault.DOUBLE_CHARGE, f"{row.request_id}: charged to account {row.account_id}")
        if row.quota > row.estimate:
            self._add(Fault.OVERSPEND, f"{row.request_id}: {row.quota} charged, {row.estimate} held")
        if (seen.remaining or 0) < 0:
            self._add(Fault.OVERSPEND, f"{row.request_id}: {seen.remaining} left of the account")

    def _check_refusal(self, seen: Seen, row: Row | None) -> None:
        refusal = seen.refusal
        assert refusal is not None
        if refusal.left >= refusal.needed:
            what = f"{refusal.needed} needed, {refusal.left} left"
            self._add(Fault.UNDERSPEND, f"{seen.request_id}: refused, {what}")
        if row is not None:
            self._add(Fault.DOUBLE_CHARGE, f"{seen.request_id}: refused, yet it has a row")
        if self._served(seen.call):
            self._add(Fault.FREE_CALL, f"{seen.request_id}: refused, yet the upstream was asked")

    def _check_failure(self, seen: Seen, row: Row | None) -> None:
        if seen.status != seen.call.kind.failure:
            said = f"{seen.status} {seen.code}, {seen.call.kind.name}"
            self._add(Fault.UNEXPLAINED, f"{seen.request_id}: {said}")
        if row is None:
            self._add(Fault.LOST_ROW, f"{seen.request_id}: {seen.status} without a row")
        elif row.quota:
            self._add(Fault.DOUBLE_CHARGE, f"{seen.request_id}: {row.quota} for a failure")

    def _check_served(self, seen: Seen, row: Row | None) -> None:
        kind = seen.call.kind
        if row is None:
            self._add(Fault.LOST_ROW, f"{seen.request_id}: {seen.words} words served, no row")
            return
        self._check_charge(seen, row)
        if seen.ending == Ending.WHOLE:
            if seen.is_complete == kind.model.breaks_streams or kind.failure is not None:
                self._add(Fault.UNEXPLAINED, f"{seen.request_id}: {seen.code or 'complete'}, {kind.name}")
            if seen.charged is None:
                self._add(Fault.UNEXPLAINED, f"{seen.request_id}: not told what was charged")
        elif seen.ending == Ending.LATE or (seen.ending == Ending.BROKEN and not self._observed.may_break):
            self._add(Fault.UNEXPLAINED, f"{seen.request_id}: {seen.ending.value}, {kind.name}")
        if seen.charged is not None and seen.charged != row.quota:
            self._add(Fault.DOUBLE_CHARGE, f"{seen.request_id}: {seen.charged} told, {row.quota} charged")

    def _check_charge(self, seen: Seen, row: Row) -> None:
        """The tokens have to be those that were served, and the charge their price."""
        multiplier = self._observed.callers[seen.call.caller].multiplier
        least, most = self._due_tokens(seen, row)
        charged = (row.prompt_tokens, row.completion_tokens)
        due = price(*charged, multiplier)
        if row.quota < min(due, price(*least, multiplier)):
            self._add(Fault.FREE_CALL, f"{seen.request_id}: {row.quota} charged for {least} tokens")
        elif row.quota > max(due, price(*most, multiplier)):
            self._add(Fault.DOUBLE_CHARGE, f"{seen.request_id}: {row.quota} charged for {most} tokens")
        elif row.quota != due or not all(a <= b <= c for a, b, c in zip(least, charged, most, strict=True)):
            is_less = charged < least or row.quota < due
            fault = Fault.FREE_CALL if is_less else Fault.DOUBLE_CHARGE
            what = f"{charged} in its row, {least} to {most} served, {row.quota} charged, {due} due"
            self._add(fault, f"{seen.request_id}: {what}")
        if row.cached_tokens:
            self._add(Fault.FREE_CALL, f"{seen.request_id}: {row.cached_tokens} cached tokens, from nowhere")

    def _due_tokens(self, seen: Seen, row: Row) -> tuple[tuple[int, int], tuple[int, int]]:
        """Prompt and answer that have to be charged at least, and may be at most.

        What the provider reported is charged exactly. Where it reports nothing, or was not heard to the
        end, words are counted: exactly those that the client has when it stayed, and else at most as many as
        the upstream sent. Of a stream whose relay was killed, an event each, and of its prompt a quarter of
        its bytes.
        """
        prompt = seen.call.prompt_tokens
        sent = max((served.answer_tokens for served in self._served(seen.call)), default=seen.words)
        if seen.call.kind.model.reports_usage and (seen.is_complete or row.usage_source == "upstream"):
            exact = seen.usage or (prompt, sent)
            return max(exact, (prompt, sent)), min(exact, (prompt, sent))
        if row.error_code == RELAY_DIED:
            self._findings.recovered += 1
            self._findings.recovered_tokens += row.completion_tokens
            self._findings.recovered_words += seen.words
            return (prompt, seen.events), (2 * prompt + 10, LONGEST_ANSWER)
        is_whole = seen.ending == Ending.WHOLE
        counted = prompt + ROLE_TOKENS
        return (counted, seen.words), (counted, seen.words if is_whole else max(sent, seen.words))

    def _check_unknown(self, seen: Seen) -> None:
        """No request id was learnt: its row, if it has one, is among those that nobody claims."""
        self._findings.unknown += 1
        self._unknown.append(seen.call)
        if seen.ending == Ending.LATE or (seen.ending == Ending.BROKEN and not self._observed.may_break):
            self._add(Fault.UNEXPLAINED, f"call {seen.call.number}: {seen.ending.value}, nothing of it came")
        elif seen.ending == Ending.WHOLE:
            self._add(Fault.UNEXPLAINED, f"call {seen.call.number}: {seen.status} without a request id")

    def _match_unknown(self) -> None:
        """Each row that is left has to be of one of the unknown calls, and each of those that was served has
        to have one: of the same token and model, with the tokens that the upstream reported."""
        served = Counter(key for call in self._unknown for key in self._served_keys(call))
        asked = Counter((self._token_of(call), call.kind.model.name) for call in self._unknown)
        multipliers = {caller.token_id: caller.multiplier for caller in self._observed.callers}
        for row in (row for rows in self._rows.values() for row in rows):
            of_whom = (row.token_id, row.model)
            tokens = (row.prompt_tokens, row.completion_tokens)
            key = (*of_whom, *tokens)
            is_reported = row.usage_source == "upstream"
            if not asked[of_whom] or (is_reported and not served[key]):
                self._add(Fault.DOUBLE_CHARGE, f"{row.request_id}: a row that no call explains")
                continue
            asked[of_whom] -= 1
            served[key] -= is_reported
            self._findings.explained += 1
            due = price(*tokens, multipliers[row.token_id]) if row.usage_source != "none" else 0
            if row.quota != due:
                fault = Fault.FREE_CALL if row.quota < due else Fault.DOUBLE_CHARGE
                self._add(fault, f"{row.request_id}: {row.quota} charged, {due} due")
        if not self._observed.may_break:  # else whatever died before its commit was served to nobody
            for key in served.elements():
                self._add(Fault.FREE_CALL, f"token {key[0]}: {key[2:]} tokens of {key[1]} served, no row")

    def _served_keys(self, call: Call) -> Iterator[tuple[int, str, int, int]]:
        if call.kind.model.reports_usage:
            for served in self._served(call):
                name, tokens = call.kind.model.name, (served.prompt_tokens, served.answer_tokens)
                yield (self._token_of(call), name, *tokens)

    def _served(self, call: Call) -> list[Served]:
        return [served for served in self._observed.served.get(call.number, ()) if served.status == 200]

    def _token_of(self, call: Call) -> int:
        return self._observed.callers[call.caller].token_id


def _check_accounts(observed: Observations, findings: Findings) -> None:
    charged: Counter[int] = Counter()
    for row in observed.books.rows:
        charged[row.account_id] += row.quota
    posted: Counter[int] = Counter()
    for entry in observed.books.entries:
        posted[entry.account_id] += entry.amount
        if entry.balance_after < 0:
            findings.add(Fault.OVERSPEND, f"account {entry.account_id}: {entry.balance_after} after an entry")
    for account_id, granted in observed.granted.items():
        account, due = observed.books.accounts[account_id], granted - charged[account_id]
        if due < 0 or account.balance < 0:
            findings.add(Fault.OVERSPEND, f"account {account_id}: {min(due, account.balance)} in the end")
        if not account.balance == due == posted[account_id]:
            sums = f"{granted} given − {charged[account_id]} charged = {due}, entries {posted[account_id]}"
            what = f"balance {account.balance}, {sums}"
            findings.add(
                Fault.DOUBLE_CHARGE if account.balance <= due else Fault.FREE_CALL,
                f"account {account_id}: {what}",
            )


def _check_tokens(observed: Observations, findings: Findings) -> None:
    charged: Counter[int] = Counter()
    for row in observed.books.rows:
        charged[row.token_id] += row.quota
    for caller in observed.callers:
        token = observed.books.tokens[caller.token_id]
        if caller.quota_limit is not None and charged[token.pk] > caller.quota_limit:
            what = f"{charged[token.pk]} charged, {caller.quota_limit} allowed"
            findings.add(Fault.OVERSPEND, f"token {token.pk}: {what}")
        if token.used_quota != charged[token.pk]:
            what = f"{token.used_quota} counted, {charged[token.pk]} charged"
            findings.add(Fault.DOUBLE_CHARGE, f"token {token.pk}: {what}")


def _check_entries(books: Books, findings: Findings) -> None:
    """What the ledger took from accounts is what their calls were charged, entry by entry."""
    of_rows: Counter[tuple[int | None, int]] = Counter()
    for row in books.rows:
        if row.quota:
            of_rows[row.entry_id, row.account_id] += row.quota
    for entry in books.entries:
        if entry.kind == "usage" and (told := of_rows.pop((entry.pk, entry.account_id), 0)) != -entry.amount:
            fault = Fault.DOUBLE_CHARGE if -entry.amount > told else Fault.FREE_CALL
            findings.add(fault, f"entry {entry.pk}: {-entry.amount} taken, {told} in its rows")
    for (entry_id, account_id), quota in of_rows.items():
        findings.add(Fault.FREE_CALL, f"account {account_id}: rows of {quota}, no such entry {entry_id}")


def _check_holds(books: Books, findings: Findings) -> None:
    if books.open_holds:
        findings.add(Fault.LEAKED_HOLD, f"{books.open_holds} open holds")
    for what, things in (("account", books.accounts), ("token", books.tokens)):
        for thing in things.values():
            if thing.held:
                findings.add(Fault.LEAKED_HOLD, f"{what} {thing.pk}: {thing.held} held")


def _check_last_refusals(observed: Observations, findings: Findings) -> None:
    """What was refused in the end has to need more than what is left."""
    charged_account: Counter[int] = Counter()
    charged_token: Counter[int] = Counter()
    for row in observed.books.rows:
        charged_account[row.account_id] += row.quota
        charged_token[row.token_id] += row.quota
    for refusal in observed.last_refusals:
        caller = observed.callers[refusal.caller]
        left = observed.granted[caller.account_id] - charged_account[caller.account_id]
        if caller.quota_limit is not None:
            left = min(left, caller.quota_limit - charged_token[caller.token_id])
        if left >= refusal.needed:
            what = f"{left} left, {refusal.needed} refused"
            findings.add(Fault.UNDERSPEND, f"token {caller.token_id}: {what}")
