"""Statistics of a node in buckets of 10 s, 1 min and 1 h, counted from the events: no page and no metric counts rows.

They stand in a small file of their own beside the spool's database, so that they work while the ledger is away. Pages
read them as `spool.statistics` (reading.py); the bookkeeper alone writes (keeping.py). It must not hold any state of images.
"""
