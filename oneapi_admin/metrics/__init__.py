"""``GET /metrics``: what Prometheus reads (docs/metrics.md).

Outside Django's threads, which may all be waiting for the database just when somebody wants to know.
"""
