"""`python -m webgui`. It must not hold behaviour."""

import sys

from webgui.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
