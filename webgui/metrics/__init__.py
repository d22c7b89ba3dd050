"""The families of /metrics, each with its sentence: from the status document (state.py) and from the statistics (counted.py).

docs/metrics.md shows them to people; a test looks that it names every one. No label may hold a UID or patient data.
"""
