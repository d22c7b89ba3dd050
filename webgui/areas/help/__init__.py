"""Help: keys, words, and where the documents are. It must not need a node that runs."""
