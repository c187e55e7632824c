"""Face import in use."""
