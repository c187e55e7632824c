"""Registers Face import with Airflow: listener, pages, middleware; everything else is in the package `face_import`."""

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from face_import.orchestration.plugin import listener, pages
from face_import.settings import get_settings


class FaceImportPlugin(AirflowPlugin):
    """What Airflow loads."""

    name = "face_import"
    listeners = [listener]  # noqa: RUF012 - Airflow's interface
    external_views = pages.external_views(get_settings())
    fastapi_root_middlewares = pages.middlewares(conf.get_mandatory_value("database", "sql_alchemy_conn"))
    global_operator_extra_links = [pages.RowsLink()]  # noqa: RUF012
