"""The rules of an import, without any I/O."""
