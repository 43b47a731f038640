from tests.relay.conftest import channel, sandbox, sandbox_server  # noqa: F401  the same upstream
