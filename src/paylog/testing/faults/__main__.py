"""``python -m paylog.testing.faults --faults 1000``: strike, compare with a clean run, say what was seen."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from paylog.testing.faults.rounds import Round, play
from paylog.testing.faults.site import Site

_A_ROUND = 50


def main() -> int:
    """Play rounds until there were so many faults, or the time is over."""
    options = _options()
    print(f"seed {options.seed}: {options.faults:,} faults", flush=True)
    began, rounds = time.monotonic(), list[Round]()
    # Not below a folder that is closed to other users: PostgreSQL runs as one when we are root.
    with TemporaryDirectory(prefix="paylog-faults-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with Site(Path(folder)) as site:
            while (left := options.faults - _struck(rounds)) > 0:
                seed = options.seed + len(rounds)
                try:
                    rounds.append(play(site, seed, min(_A_ROUND, left)))
                except BaseException:
                    print(f"round of seed {seed} failed; the servers' logs: {folder}", flush=True)
                    raise
                _say(rounds[-1], _struck(rounds))
                if options.minutes and time.monotonic() - began > 60 * options.minutes:
                    break
    print(_table(rounds))
    return 0


def _struck(rounds: list[Round]) -> int:
    return sum(each.faults.total() for each in rounds)


def _say(last: Round, total: int) -> None:
    tasks = ", ".join(f"{count:,} {what}" for what, count in sorted(last.tally.items()))
    print(
        f"seed {last.seed}: {last.faults.total()} faults in {last.seconds:.0f} s, {last.rows:,} rows as in a "
        f"clean run, receipts balanced ({tasks}); {total:,} faults so far",
        flush=True,
    )


def _table(rounds: list[Round]) -> str:
    faults = sum((each.faults for each in rounds), Counter[str]())
    tally = sum((each.tally for each in rounds), Counter[str]())
    lines = ["", "| fault | times |", "| :-- | --: |"]
    lines += [f"| {name} | {count:,} |" for name, count in faults.most_common()]
    lines += [f"| **together**, in {len(rounds):,} rounds | {faults.total():,} |", ""]
    lines += ["| work under fire | |", "| :-- | --: |"]
    lines += [f"| {what} | {count:,} |" for what, count in sorted(tally.items())]
    lines += [f"| rows compared with a clean run | {sum(each.rows for each in rounds):,} |"]
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m paylog.testing.faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=1_000, help="how many (default 1,000)")
    parser.add_argument("--minutes", type=float, help="end after the round in which they are over")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**6), help="of the first round; random by default"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
