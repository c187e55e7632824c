"""`make bench`: every figure is a ratio against a named peer or limit, measured in one run on one machine."""
