"""Tests of code in this process: no server, no other process; all of them within a minute."""
