"""Airflow's own place for policies: puts the shards of every import into the pool of its run."""

from face_import.orchestration.policy import task_instance_mutation_hook

__all__ = ["task_instance_mutation_hook"]
