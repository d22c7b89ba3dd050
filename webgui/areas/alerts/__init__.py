"""Alerts: what needs a person, who takes care of it, what is silenced, what was told. It must not judge what is wrong."""
