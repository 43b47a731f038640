"""What a provider's error means: reading its body, matching it against what providers document, saying it.

``diagnosing.diagnose`` is the way in; the relay and the API both use it.
"""
