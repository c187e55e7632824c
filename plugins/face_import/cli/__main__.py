"""`python -m face_import.cli`: how the stack starts its own processes."""

from face_import.cli import main

main()
