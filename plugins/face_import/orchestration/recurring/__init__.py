"""Recurring imports: their DAGs, and the task that waits for a source."""
