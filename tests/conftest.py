"""What every test may ask for. The fixtures of one room live in that room's folder."""

pytest_plugins = ["tests.plugins.logs", "tests.plugins.servers", "tests.plugins.browser", "tests.plugins.summary"]
