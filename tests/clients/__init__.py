"""Tests of the clients, over real sockets."""
