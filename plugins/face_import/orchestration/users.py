"""Users and roles of Airflow's FAB auth manager; run as a module after `airflow db migrate`.

Safe to run at every start. People have the user `admin`, whose password is theirs to change. The API and the keeper
have one whose role may do what `face_import.clients.airflow` asks for, with the import DAG and no other.
"""

import json
import logging
from collections.abc import Iterable

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.providers.fab.auth_manager.models import Role
from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride
from airflow.providers.fab.www.security import permissions as fab
from airflow.utils.providers_configuration_loader import providers_configuration_loaded

from face_import.contract import DAG_ID
from face_import.settings import get_settings

log = logging.getLogger(__name__)
SERVICE_ROLE = "face_import"
READ, CREATE, EDIT, DELETE = (
    fab.ACTION_CAN_READ,
    fab.ACTION_CAN_CREATE,
    fab.ACTION_CAN_EDIT,
    fab.ACTION_CAN_DELETE,
)
SERVICE_PERMISSIONS = frozenset(
    {
        # FAB wants both: the right to the kind of thing, and the one to the DAG it belongs to.
        *((action, fab.resource_name(DAG_ID, fab.RESOURCE_DAG)) for action in (READ, EDIT)),
        *((action, fab.RESOURCE_DAG_RUN) for action in (READ, CREATE, EDIT, DELETE)),  # trigger, fail, delete
        *((action, fab.RESOURCE_TASK_INSTANCE) for action in (READ, EDIT)),  # clear, set shards to success
        *((action, fab.RESOURCE_POOL) for action in (READ, CREATE, EDIT, DELETE)),  # one a run
        (READ, fab.RESOURCE_WEBSITE),  # FAB gives it to every role whenever an api-server starts
    }
)


@providers_configuration_loaded
def create_users() -> None:
    """Make the role and the users that are missing, and give the service its password and its rights, no others."""
    settings = get_settings()
    passwords: dict[str, str] = json.loads((settings.home / "secrets" / "airflow_users.json").read_text())
    with get_application_builder() as builder:
        manager = builder.sm
        service = _exactly(manager, manager.add_role(SERVICE_ROLE), SERVICE_PERMISSIONS)
        for name, password in passwords.items():
            ours = name == settings.airflow_user
            user = manager.find_user(username=name)
            if user is None:
                role = service if ours else manager.find_role("Admin")
                manager.add_user(name, name, "", f"{name}@localhost", role, password)
                log.info("made user=%s role=%s", name, role.name)
            elif ours:
                manager.reset_password(user.id, password)
                user.roles = [service]
                manager.update_user(user)


def _exactly(manager: FabAirflowSecurityManagerOverride, role: Role, wanted: Iterable[tuple[str, str]]) -> Role:
    """Give a role these permissions, and take away what it had beside them."""
    permissions = [manager.create_permission(*pair) for pair in wanted]
    for permission in permissions:
        manager.add_permission_to_role(role, permission)
    for permission in [one for one in role.permissions if one not in permissions]:
        manager.remove_permission_from_role(role, permission)
    return role


if __name__ == "__main__":
    logging.getLogger("airflow.providers.fab").setLevel(logging.WARNING)  # a line for each of 200 permissions
    create_users()
