from tests.relay.conftest import sandbox, sandbox_server  # noqa: F401  the same upstream
