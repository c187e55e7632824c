"""Tests with servers, processes and databases of their own, and no Airflow; they take minutes."""
