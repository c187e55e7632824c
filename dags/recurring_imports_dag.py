"""The DAGs of the recurring imports (docs/how-to/recurring.md), one for each valid entry.

Invalid entries are reported by `recurring_imports_check.py`: a DAG file that raises loses all of its DAGs.
"""

from face_import.orchestration.recurring.dags import recurring_imports
from face_import.settings import get_settings

for dag in recurring_imports(get_settings()).dags:
    globals()[dag.dag_id] = dag  # where Airflow looks for DAGs
