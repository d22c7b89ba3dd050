"""`python -m scanpost` is the command line. Nothing else belongs here."""

from scanpost.main import main

main()
