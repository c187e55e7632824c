"""What task processes run: the tasks of the import DAG, its parameters, the XCom backend."""
