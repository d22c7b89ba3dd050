"""The queue of deliveries: what waits, fails, is held, and why; acts on one, on some, on all that match. It must not know series' pages."""
