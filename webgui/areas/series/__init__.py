"""Series: found, shown with all that happened to them, acted on; their studies and patients. It must not know the queue."""
