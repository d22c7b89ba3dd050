"""The areas of the web interface, a package each: `routes.py` with its part of the table of addresses, pages, API, forms.

An area must not import another one; what several need stands one level above.
"""
