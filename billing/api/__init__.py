"""The management API's part about quota: people with their accounts, the ledger, tokens, channels, usage."""
