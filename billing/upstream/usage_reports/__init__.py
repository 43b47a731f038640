"""How many tokens providers counted: one report for each that tells, and the registry of them all.

They say whether a drift is a matter of prices or of calls. LiteLLM's proxy tells of whole days only
(https://docs.litellm.ai/docs/proxy/cost_tracking, ``/user/daily/activity``), which no interval fits.
"""
