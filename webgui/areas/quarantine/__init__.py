"""Quarantine: objects that could not be read or placed, with the reason. It must not read their bytes."""
