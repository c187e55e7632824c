"""A corpus of nasty CSV files, made by code, and what has to become of each."""
