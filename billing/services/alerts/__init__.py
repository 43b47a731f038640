"""Telling people in time: rules are evaluated, alerts written down once, and sent until they arrive."""
