"""`python -P -m xenfs`: the command `xenfs` where it is not installed.

Without -P or -I, Python looks for `xenfs` in the working directory first, which may be somebody else's.
"""

import os
import sys

# -m puts the working directory first: a file there called like a module would be run. xenfs itself is found by now.
if not sys.flags.safe_path and sys.path and sys.path[0] == os.getcwd():
    del sys.path[0]

from xenfs.cli import main

if __name__ == "__main__":
    sys.exit(main())
