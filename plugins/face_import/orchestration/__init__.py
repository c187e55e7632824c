"""Everything that imports Airflow: parameters, task bodies, the pool of a run, the listener, the XCom backend."""
