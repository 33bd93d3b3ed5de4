"""The benchmarks of speed, one after the other: ``make bench``. Each prints medians and side-by-side ratios.

Those that measure something else run by name: ``bench.coverage`` and ``bench.optima_coverage`` (how often
intervals hold the truth) and ``bench.mup_sweep`` (learning rates across widths), for tens of minutes.
"""

import subprocess
import sys

ECG = ("ecg_reading", "ecg_loading", "ecg_resnet", "ecg_s4d", "ecg_inference")
PRIVATE = ("private_decoder", "private_resnet")
BENCHES = ("training", "rounds", "aggregation", "etl", "tokenise", "bootstrap", *ECG, *PRIVATE)

for name in BENCHES:
    print(f"== bench.{name}", flush=True)
    subprocess.run([sys.executable, "-m", f"bench.{name}"], check=True)
