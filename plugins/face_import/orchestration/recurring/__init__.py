"""Recurring imports: their DAGs, and the task that runs an import and waits for it."""
