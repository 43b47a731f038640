"""An OpenAI-compatible mock provider with an account of its own, for trials and tests.

It stands alone: plain ASGI on the standard library, no Django, and nothing else in the product imports it.
Run it with ``python -m sandbox``; :mod:`sandbox.behaviours` lists its models.
"""
