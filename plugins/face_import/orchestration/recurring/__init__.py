"""Recurring imports: their DAGs, and the tasks that wait for a source and run its import."""
