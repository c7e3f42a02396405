"""For tests of one attempt, whose failure is the point."""

from dsnb import Retry

ONCE = Retry(attempts=1)
QUICK = Retry(first=0.001, longest=0.005, probe=0.005, longest_probe=0.02)
