"""Processes of a whole stack are killed and servers taken away, and no row may be lost or doubled."""
