"""One file per page: handlers that read, render and answer. They must not hold SQL, HTML or permissions."""
