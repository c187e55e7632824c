"""The API under load, while imports run."""
