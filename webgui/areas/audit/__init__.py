"""Audit: who changed what, when, from where; whether the chain of entries holds. It must not change anything."""
