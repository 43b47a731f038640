"""What is asked of providers does not depend on the database, so one of the two runs is enough."""

from tests.settings import TEST_DATABASE

collect_ignore_glob = [] if TEST_DATABASE == "sqlite" else ["*/test_*.py"]
