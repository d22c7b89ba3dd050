"""Acts: what people asked for, how far it is, what came of it. It must not act itself."""
