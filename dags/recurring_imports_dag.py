"""The DAGs of the recurring imports (docs/how-to/recurring.md): one for each entry that is right.

What is wrong with the others is Airflow's import error of `recurring_imports_check.py`: a file that raises would take
all of its DAGs down.
"""

from face_import.orchestration.recurring.dags import recurring_imports
from face_import.settings import get_settings

for dag in recurring_imports(get_settings()).dags:
    globals()[dag.dag_id] = dag  # where Airflow looks for DAGs
