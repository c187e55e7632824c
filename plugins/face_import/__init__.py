"""Face import: batch import of face images into a face library, as an Airflow pipeline."""

__version__ = "0.1.0"
