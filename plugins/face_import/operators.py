"""What DAGs of your own import from Face import (docs/how-to/own-dags.md); this path stays."""

from face_import.orchestration.importing import FaceImportOperator

__all__ = ["FaceImportOperator"]
