"""`python -m face_import.cli`, as the stack starts its own processes."""

from face_import.cli import main

main()
