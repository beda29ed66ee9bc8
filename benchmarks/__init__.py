"""Measurements of speed and size; never part of the tests."""
