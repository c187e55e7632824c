"""All tests; what one costs is in its path: unit, integration, stack, faults. face_services has its own environment.

A package so that `python -m tests.doubles.<name>` starts a double.
"""
