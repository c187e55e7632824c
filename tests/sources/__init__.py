"""Tests of `face_import.sources`."""
