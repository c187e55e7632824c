"""Shows the problems of recurring_imports.yaml as an import error in Airflow's UI; defines no DAG."""

from face_import.errors import ConfigError
from face_import.orchestration.recurring.dags import recurring_imports
from face_import.settings import get_settings

if problems := recurring_imports(get_settings()).problems:
    raise ConfigError("\n".join(problems))
