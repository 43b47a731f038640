"""Proves that every unit of quota is accounted for, by counting again.

Ledger entries and calls are only ever added (entries by triggers, calls by everything we ship). So an audit
adds up those that are new since the last one, puts the sums on top of what was added up before (a
*checkpoint*), and compares the result with all that changes: balances, counters, rollups, holds, codes. An
audit that finds nothing wrong makes the next checkpoint.

**An incremental audit** proves I1–I7 for the present state, provided that entries and calls up to its
checkpoint are still as they were when they were read. It reads all accounts, tokens, channels, rollups, holds
and codes with the entries that redeemed them, whenever they changed; of other entries and calls what is new,
and again an old entry to which a new call was attached. What it cannot see is a change made to an old entry
or call itself: an amount, a row deleted, a row put in with an old id. **A full audit** (weekly, ``--full``,
and whenever there is no checkpoint to be trusted) reads all rows, and makes a checkpoint that does not depend
on the older ones.

Checkpoints are sealed with a key derived from ``SECRET_KEY``, over all their sums and those they are built
on. One that was changed is not used, and everything is read. A wrong checkpoint cannot hide drift in what
changes: the comparison would fail. Nor can drift that was found be forgotten: an audit that finds some keeps
no checkpoint, so that the next one finds it again.

Settled rows are read piece by piece in short transactions, which is safe since they do not change
(``session.Session.settled`` tells which they are). What came after them, and the comparison, is read on one
view. No lock is taken that a call would wait for. Memory is the database's: on SQLite, which works in this
process, what does not fit goes to temporary files.
"""

from billing.services.audit.checks import TITLES, Check
from billing.services.audit.runs import OnProgress, audit_ledger, last_result, run_audit

__all__ = ["TITLES", "Check", "OnProgress", "audit_ledger", "last_result", "run_audit"]
