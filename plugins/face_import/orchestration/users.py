"""Users and roles of Airflow's FAB auth manager; run as a module after `airflow db migrate`.

Safe to run at every start. People log in as `admin`, and may change its password. The API and the keeper share a user
whose role allows only what `face_import.clients.airflow` does, and only on the import DAG.
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
        # FAB checks both the permission on the kind of resource and the one on the DAG that it belongs to.
        *((action, fab.resource_name(DAG_ID, fab.RESOURCE_DAG)) for action in (READ, EDIT)),
        *((action, fab.RESOURCE_DAG_RUN) for action in (READ, CREATE, EDIT, DELETE)),  # trigger, fail, delete
        *((action, fab.RESOURCE_TASK_INSTANCE) for action in (READ, EDIT)),  # clear, set shards to success
        *((action, fab.RESOURCE_POOL) for action in (READ, CREATE, EDIT, DELETE)),  # one per run
        (READ, fab.RESOURCE_WEBSITE),  # FAB gives it to every role whenever an api-server starts
    }
)


@providers_configuration_loaded
def create_users() -> None:
    """Make the role and any missing users, and reset the service's password and its exact permissions."""
    settings = get_settings()
    passwords: dict[str, str] = json.loads((settings.home / "secrets" / "airflow_users.json").read_text())
    with get_application_builder() as builder:
        manager = builder.sm
        service = _set_permissions(manager, manager.add_role(SERVICE_ROLE), SERVICE_PERMISSIONS)
        for name, password in passwords.items():
            is_service = name == settings.airflow_user
            user = manager.find_user(username=name)
            if user is None:
                role = service if is_service else manager.find_role("Admin")
                manager.add_user(name, name, "", f"{name}@localhost", role, password)
                log.info("made user=%s role=%s", name, role.name)
            elif is_service:
                manager.reset_password(user.id, password)
                user.roles = [service]
                manager.update_user(user)


def _set_permissions(manager: FabAirflowSecurityManagerOverride, role: Role, wanted: Iterable[tuple[str, str]]) -> Role:
    """Give a role these permissions and no others; returns the role."""
    permissions = [manager.create_permission(*pair) for pair in wanted]
    for permission in permissions:
        manager.add_permission_to_role(role, permission)
    for permission in [one for one in role.permissions if one not in permissions]:
        manager.remove_permission_from_role(role, permission)
    return role


if __name__ == "__main__":
    logging.getLogger("airflow.providers.fab").setLevel(logging.WARNING)  # a line for each of 200 permissions
    create_users()
