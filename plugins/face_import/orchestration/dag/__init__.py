"""What task processes run: the bodies of the import DAG's tasks, its parameters, the XCom backend."""
