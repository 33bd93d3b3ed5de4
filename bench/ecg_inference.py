"""Records a second and latency of PyTorch, ONNX Runtime and OpenVINO for the same ECG classifiers.

    python -m bench.ecg_inference [--families resnet,transformer,s4d] [--sizes 80k,1m,5m] [--threads 1]

Each classifier (backbone, mean pool, linear head of 26 classes) has weights drawn at random, also
those that training starts at zero, and is exported to ONNX once. The engines take turns on the same
batch with the same number of threads. Time is the process's CPU time at one thread, which a busy
machine disturbs least, else wall time. Printed are the median call and its 90 % quantile over all
rounds, records a second of the median, the ratio to PyTorch in fp32, and the largest differences from
PyTorch in fp32 of probabilities and logits: fp32 engines must agree to 1e-4, bf16 cannot.
"""

import argparse
import tempfile
import time
from pathlib import Path

import torch

from models.ecg.batch import LEADS
from models.ecg.classifier import Classifier
from models.ecg.engines import engines
from models.ecg.export import export_onnx
from models.ecg.inference import Measurement, measure, noise
from models.ecg.inference_commands import classifier_of
from models.ecg.model import build_ecg_model
from wardlaw.config import load_config
from wardlaw.config.model import ECG_FAMILIES
from wardlaw.seeds import derive_seed

CLASSES = 26


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", default="resnet,transformer,s4d", help=", ".join(ECG_FAMILIES))
    parser.add_argument("--sizes", default="80k,1m,5m")
    parser.add_argument("--samples", type=int, default=512, help="samples of a crop")
    parser.add_argument("--batches", default="1,8,64")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=0.5, help="of an engine's turn")
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    print(f"{arguments.samples} samples x {LEADS} leads, {arguments.threads} thread(s), {clock.__name__}")
    for family in arguments.families.split(","):
        for size in arguments.sizes.split(","):
            classifier = random_classifier(family, size, arguments.samples)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "model.onnx"
                started = time.perf_counter()
                export_onnx(classifier, path, arguments.samples, {"family": family, "size": size})
                exported = time.perf_counter() - started
                print(f"\n{family} {size}: {path.stat().st_size / 1e6:.1f} MB, exported in {exported:.1f} s")
                compared = engines(classifier, path, arguments.threads)
            for batch in map(int, arguments.batches.split(",")):
                signals = noise(batch, arguments.samples)
                report(measure(compared, signals, arguments.rounds, arguments.seconds, clock))


@torch.no_grad()
def random_classifier(family: str, size: str, samples: int) -> Classifier:
    """A classifier no part of which is silent: vectors are drawn too, and logits are of unit size."""
    changes = f"model.family={family}", f"model.size={size}", f"model.context={samples}"
    model = build_ecg_model(load_config(None, [*changes, "objective.name=bce"]), CLASSES)
    classifier = classifier_of(model)
    classifier.head.weight.mul_(classifier.head.in_features**0.5)
    for name, parameter in classifier.named_parameters():
        if parameter.dim() == 1:
            stream = torch.Generator().manual_seed(derive_seed(0, "vectors", name))
            parameter.add_(torch.randn(parameter.shape, generator=stream), alpha=0.1)
    return classifier


def report(rows: list[Measurement]) -> None:
    reference = rows[0]
    for row in rows:
        verdict = "equal" if row.equal else "not equal" if row.precision == "fp32" else "bf16"
        print(
            f"batch {row.batch:>3} {row.engine:>13} {row.precision} {row.median_ms:9.2f} ms "
            f"(90 % {row.ninetieth_ms:9.2f}) {row.records_per_second:9,.0f} records/s "
            f"x{row.records_per_second / reference.records_per_second:5.2f} "
            f"|dp| {row.probability_difference:.1e} |dlogit| {row.logit_difference:.1e} {verdict}",
            flush=True,
        )


if __name__ == "__main__":
    main()
