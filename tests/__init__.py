"""Tests; a package so that `python -m tests.doubles.<name>` starts a double."""
