"""People: users (for admins), one's own account, one-time links, the revealing of patient data. It must not hash or store."""
