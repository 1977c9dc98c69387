"""`xenfs doctor`: what works here, what does not, and why."""

from __future__ import annotations

import argparse
import json
import sys

from xenfs.cli.checks import Check, Host, examine

DETAILS = """\
JSON has serves ("xen", "simulator" or "nothing") and checks; of each check: status ("ok", "warn" or "FAIL"), what,
detail.

exit status: 0 xenfs can be mounted here, 1 it cannot, 2 the command line is wrong"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `xenfs doctor`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = DETAILS
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")


def run(args: argparse.Namespace) -> int:
    """Print a line per check; 0 when the real Xen, or without one the simulator, can be mounted here."""
    host = Host()
    found = examine(host)
    serves = verdict(found, host)
    if args.json:
        checks = [check._asdict() for check in found]
        print(json.dumps({"serves": serves, "checks": checks}, indent=2))
    else:
        print_lines(found, serves)
    return 1 if serves == "nothing" else 0


def verdict(found: list[Check], host: Host) -> str:
    """What can be served: "xen" or "simulator"; "nothing" where something that is needed fails."""
    if any(check.status == "FAIL" for check in found):
        return "nothing"
    return "xen" if host.under_xen else "simulator"


def print_lines(found: list[Check], serves: str) -> None:
    """The report for a person, aligned; what fails comes in red on a terminal."""
    width = max(len(check.what) for check in found)
    for check in found:
        mark = f"{check.status:4}"
        if sys.stdout.isatty():
            colour = {"ok": 32, "warn": 33, "FAIL": 31}[check.status]
            mark = f"\033[{colour}m{mark}\033[0m"
        print(f"{mark}  {check.what:{width}}  - {check.detail}")
    print(
        {
            "xen": "xenfs can serve the Xen of this host.",
            "simulator": "There is no Xen here that xenfs could serve; it can mount its simulator.",
            "nothing": "xenfs cannot be mounted here until what FAILs above is mended.",
        }[serves]
    )
