"""Real server processes that stand in for what is outside: image hosts and face services."""
