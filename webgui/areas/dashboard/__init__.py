"""Dashboard and wall: how the node is doing, at a glance. It must not decide what is wrong (attention.py, alerts do)."""
