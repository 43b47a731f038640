"""How pages can look. That does not depend on the database, so each look is tried with one of the two."""

from tests.settings import TEST_DATABASE

LOOKS = {
    "sqlite": [(1440, "light"), (390, "dark")],
    "postgresql": [(1440, "dark"), (390, "light")],
}[TEST_DATABASE]
"""Widths and colour schemes."""
