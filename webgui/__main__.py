"""`python -m webgui`. It must not hold behaviour."""

import gc
import sys


def run() -> int:
    """Nothing that is loaded is garbage; looking for some took a tenth of it."""
    gc.disable()
    from webgui.main import main

    gc.freeze()
    gc.enable()
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(run())
