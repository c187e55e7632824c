"""Everything that imports Airflow: the import DAG, the recurring imports, the plugin, the users."""
