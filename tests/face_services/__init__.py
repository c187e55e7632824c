"""Tests of the embedded face services. They run in the services' own environment, not in the project's."""
