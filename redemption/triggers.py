"""Redemptions can be added to and nothing else."""

from oneapi_admin.lib.append_only import AppendOnly

_REDEMPTIONS = AppendOnly(
    table="redemption_redemption",
    prefix="redemption",
    function="redemption_refuse_change",
    message="redemptions are append-only",
)
protect_redemptions = _REDEMPTIONS.protect
unprotect_redemptions = _REDEMPTIONS.unprotect
