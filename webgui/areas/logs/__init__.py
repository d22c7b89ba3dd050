"""Logs of all programs, merged by time. It must not write, and reads no more than it shows."""
