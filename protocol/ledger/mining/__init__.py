"""Data mining: typed columns out of header values, ready queries over the views of the ledger, pseudonymised export."""
