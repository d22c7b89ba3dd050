"""What belongs to no area: health, metrics, static files, log-in, set-up. They must not hold SQL, HTML or permissions."""
