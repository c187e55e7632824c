"""What Airflow's own loader makes of the plugins folder, in a process that has loaded nothing yet."""

import subprocess
import sys

from face_import.settings import CHECKOUT


def test_airflows_plugin_loader_leaves_the_package_alone() -> None:
    """Without .airflowignore the loader would run every module of the package under its bare name."""
    program = (
        "import sys\n"
        "from airflow.plugins_manager import _get_plugins\n"
        "plugins, errors = _get_plugins()\n"
        "print(sorted(p.name for p in plugins if p.name == 'face_import'), errors)\n"
        "print(sorted(n for n in ('settings', 'contract', 'fetcher', 'keeper') if n in sys.modules))\n"
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(CHECKOUT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": f"{CHECKOUT / 'config'}:{CHECKOUT / 'plugins'}",
    }
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.stdout.splitlines()[-2:] == ["['face_import'] {}", "[]"], done.stdout + done.stderr
