"""Registers Face import with Airflow: its listener and its pages; everything else is in the package `face_import`."""

from airflow.plugins_manager import AirflowPlugin

from face_import.orchestration import listener, views
from face_import.settings import get_settings


class FaceImportPlugin(AirflowPlugin):
    """What Airflow loads."""

    name = "face_import"
    listeners = [listener]  # noqa: RUF012 - Airflow's interface
    external_views = views.external_views(get_settings())
    global_operator_extra_links = [views.RowsLink()]  # noqa: RUF012
