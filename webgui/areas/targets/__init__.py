"""Targets and groups: what state each is in, their settings, the test of the way to them, pause and redirect."""
