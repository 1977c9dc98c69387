"""`python -m xenfs`: the command `xenfs` where it is not installed."""

import sys

from xenfs.cli import main

if __name__ == "__main__":
    sys.exit(main())
