"""Face import: batch import of face images into a face library, as an Airflow pipeline."""

__version__ = "1.0.0"
