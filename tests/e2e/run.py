#!/usr/bin/env python3
"""The end-to-end test: run.py --locki PATH [--only NAME…]

Runs locki as a user would, in a home directory of its own, with a real VM and real agents, and checks what is promised. A scripted model on
localhost drives the agents; nothing needs an account. The built roots stay in the caller's cache. Ends with one line
"N passed, N failed, N skipped"; exit status 1 when something failed.

LOCKI_E2E_AGENTS=claude,codex,gemini chooses the agents (default: all three). --only takes names of checks, parts of them, or modules.
"""

import argparse
import os
import signal
import sys

import harness
# In the order in which they run.
import checks_agents
import checks_exec
import checks_isolation
import checks_network
import checks_tools
import checks_mirror
import checks_manage
import checks_faults
import checks_sleep
import checks_crash

AGENTS = ("claude", "codex", "gemini")
DEFAULT = "claude"  # the other two cost ten more minutes under emulation: LOCKI_E2E_AGENTS=claude,codex,gemini


class Ended(BaseException):
    """A signal: no check may take it for its own failure."""


def end(number, _frame):
    raise Ended("out of time" if number == signal.SIGALRM else signal.Signals(number).name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--locki", required=True)
    parser.add_argument("--only", nargs="+", default=[])
    parser.add_argument("--seconds", type=int, default=4200, help="end everything after this time")
    parser.add_argument("--stop-early", action="store_true", help="end at the first failure")
    parser.add_argument("--keep", action="store_true", help="leave the home directory for looking at")
    options = parser.parse_args()
    chosen = [name for name in os.environ.get("LOCKI_E2E_AGENTS", DEFAULT).split(",") if name]
    if unknown := set(chosen) - set(AGENTS):
        parser.error(f"LOCKI_E2E_AGENTS: no such agent here: {', '.join(sorted(unknown))}")

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, end)
    signal.alarm(options.seconds)
    world, passed, failed, skipped = None, 0, 0, 0
    try:
        world = harness.World(options.locki, chosen)
        for name in harness.run_checks(world, options.only, options.stop_early):
            passed, failed, skipped = (passed + (name == "passed"), failed + (name == "failed"), skipped + (name == "skipped"))
    except Ended as why:
        print(f"FAILED run: ended by {why}", flush=True)
        failed += 1
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)  # nothing may stop the cleaning up
        if world:
            if failed:
                world.logs()
            world.close(options.keep)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
