"""Makes a group's asset known to Airflow before the first import into the group ends.

`finish` names the asset through an alias, and Airflow would make it then. Two imports that end at the same moment would
both make it, and one of them would be refused its success.
"""

from typing import cast

from airflow.models.asset import AssetAliasModel, AssetModel, alias_association_table
from sqlalchemy import Table, select
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.orm import Session

from face_import.contract import ASSET_ALIAS, GROUP_ASSET

ASSETS = cast("Table", AssetModel.__table__)
ALIASES = cast("Table", AssetAliasModel.__table__)


def make_group_asset(session: Session, group: str) -> None:
    """Make the asset, and tie it to the alias, if that was not done before; two Core statements."""
    dialect = {"postgresql": postgresql, "sqlite": sqlite}.get(session.get_bind().dialect.name, mysql)
    uri = GROUP_ASSET.format(group=group)
    asset = dialect.insert(ASSETS).values(name=uri, uri=uri, group="asset", extra={})
    session.execute(asset.on_conflict_do_nothing())
    both = ALIASES.join(ASSETS, (ASSETS.c.name == uri) & (ASSETS.c.uri == uri))
    pairs = select(ALIASES.c.id, ASSETS.c.id).select_from(both).where(ALIASES.c.name == ASSET_ALIAS)
    tie = dialect.insert(alias_association_table).from_select(["alias_id", "asset_id"], pairs)
    session.execute(tie.on_conflict_do_nothing())
