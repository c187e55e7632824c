"""Tests on a whole stack with a real Airflow, which alone takes half a minute to start."""
