"""`nanosmith serve` and `nanosmith worker` with a flow of the tests in place of the real one.

    python -m nanosmith.testing.faults.launch --tune MODULE:FUNCTION [--broken MODULE:FUNCTION] serve --home DIR …

What follows is the command line of nanosmith; the function of --broken is called before it begins.
"""

from __future__ import annotations

import argparse
import functools
import sys

from nanosmith.jobs import supervisor
from nanosmith.jobs.kinds import load

SLOW = "nanosmith.testing.slow:slow_tune"


def main() -> None:
    parser = argparse.ArgumentParser(description="Run nanosmith with a flow of the tests.")
    parser.add_argument("--tune", default=SLOW, help="the flow of fine-tuning jobs")
    parser.add_argument("--broken", default="", help="called first")
    given, words = parser.parse_known_args()
    if given.broken:
        load(given.broken)()
    supervisor.Supervisor = functools.partial(  # type: ignore[misc,assignment]
        supervisor.Supervisor, tune=given.tune, poll_s=0.1
    )
    from nanosmith.cli.main import main as nanosmith

    sys.argv = ["nanosmith", *words]
    nanosmith()


if __name__ == "__main__":
    main()
