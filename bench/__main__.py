"""All benchmarks, one after the other: ``make bench``. Each prints medians and side-by-side ratios."""

import subprocess
import sys

BENCHES = ("training", "rounds", "aggregation", "etl", "tokenise", "bootstrap")

for name in BENCHES:
    print(f"== bench.{name}", flush=True)
    subprocess.run([sys.executable, "-m", f"bench.{name}"], check=True)
