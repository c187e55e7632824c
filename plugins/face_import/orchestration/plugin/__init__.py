"""What the scheduler and the API server run: the listener, run notes, the pages in Airflow's UI."""
