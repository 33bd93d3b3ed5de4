import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.ecg.backbone import Backbone
from models.ecg.classifier import Classifier
from models.ecg.engines import Engine, onnx_runtime, openvino, pytorch
from models.ecg.export import export_onnx, weights_sha256
from models.ecg.extras import import_extra
from models.ecg.inference import TOLERANCE, largest_difference, measure, noise
from wardlaw.errors import ConfigError

pytest.importorskip("onnx", reason="needs the extra inference")
pytest.importorskip("onnxscript", reason="needs the extra inference")

SAMPLES, CLASSES = 64, 5
FACTS = {"family": "tiny", "size": "none"}


class Tiny(Backbone):
    """Two convolutions of stride 4."""

    def __init__(self) -> None:
        super().__init__()
        self.stride, self.width, self.width_ratio = 16, 8, 1.0
        self.stem = nn.Conv2d(12, 8, (1, 5), stride=(1, 4), padding=(0, 2))
        self.block = nn.Conv2d(8, 8, (1, 5), stride=(1, 4), padding=(0, 2))
        self.norm = nn.GroupNorm(2, 8)

    def layers(self, signals: Tensor) -> tuple[Tensor, ...]:
        hidden = self.block(self.stem(signals.transpose(1, 2).unsqueeze(2)).relu())
        return tuple(x.squeeze(2).transpose(1, 2) for x in (hidden, self.norm(hidden)))

    def forward_flops(self, samples: int) -> float:
        return 2.0 * samples * (12 * 5 * 8 / 4 + 8 * 5 * 8 / 16)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Classifier(Tiny(), nn.Linear(8, CLASSES))


@pytest.fixture(scope="module")
def exported(classifier: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    export_onnx(classifier, path, SAMPLES, FACTS)
    return path


def by_hand(classifier: Classifier, signals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The classifier's answer in float64, pooled and projected with NumPy."""
    with torch.inference_mode():
        backbone = Tiny().double()
        backbone.load_state_dict(classifier.backbone.state_dict())
        features = backbone(torch.from_numpy(signals).double()).numpy()
    weight, bias = (p.detach().double().numpy() for p in (classifier.head.weight, classifier.head.bias))
    logits = features.mean(1) @ weight.T + bias
    return 1 / (1 + np.exp(-logits)), logits


def all_engines(classifier: Classifier, path: Path) -> list[Engine]:
    return [pytorch(classifier, "fp32"), onnx_runtime(path, 1), openvino(path, 1, "fp32")]


@pytest.mark.parametrize("batch", [1, 3, 8])
@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3], ids=["zeros", "unit", "artefact"])
def test_engines_give_the_classifier_s_answer(classifier, exported, batch, scale):
    signals = noise(batch, SAMPLES) * np.float32(scale)
    wanted = by_hand(classifier, signals)
    for engine in all_engines(classifier, exported):
        answers = engine.answer(signals)
        assert [a.shape for a in answers] == [(batch, CLASSES)] * 2, engine
        assert [a.dtype for a in answers] == [np.float32] * 2, engine
        assert max(map(largest_difference, answers, wanted)) < TOLERANCE, engine


@pytest.mark.parametrize("make", [lambda c, p: pytorch(c, "bf16"), lambda c, p: openvino(p, 1, "bf16")])
def test_bf16_is_near_fp32_and_not_the_same(classifier, exported, make):
    signals = noise(4, SAMPLES)
    probabilities, _ = make(classifier, exported).answer(signals)
    assert 0 < largest_difference(probabilities, by_hand(classifier, signals)[0]) < 0.02


def test_answers_outlive_the_next_call(classifier, exported):
    for engine in all_engines(classifier, exported):
        first = engine.answer(noise(2, SAMPLES))
        before = [a.copy() for a in first]
        engine.answer(noise(2, SAMPLES) + 1)
        assert all((a == b).all() for a, b in zip(first, before, strict=True)), engine


def test_one_record_s_answer_does_not_depend_on_the_others(classifier, exported):
    signals = noise(3, SAMPLES)
    for engine in all_engines(classifier, exported):
        together, alone = engine.answer(signals)[1][1:2], engine.answer(signals[1:2])[1]
        assert np.abs(together - alone).max() < 1e-6, engine


def test_file_is_the_same_each_time(classifier, exported, tmp_path):
    export_onnx(classifier, tmp_path / "again.onnx", SAMPLES, FACTS)
    assert (tmp_path / "again.onnx").read_bytes() == exported.read_bytes()
    assert [p.name for p in exported.parent.iterdir()] == ["model.onnx"], "weights are inside the file"


def test_file_tells_its_model_and_nothing_of_the_machine(classifier, exported):
    onnx = import_extra("onnx")
    model = onnx.load(exported)
    assert {entry.key: entry.value for entry in model.metadata_props} == {
        **FACTS,
        "samples": str(SAMPLES),
        "leads": "12",
        "classes": str(CLASSES),
        "weights_sha256": weights_sha256(classifier),
    }
    content = exported.read_bytes()
    for trace in (b"stack_trace", os.fsencode(Path(__file__).parent), os.fsencode(sys.prefix)):
        assert trace not in content, trace


def test_digest_follows_each_weight(classifier):
    for name, _ in classifier.named_parameters():
        changed = deepcopy(classifier)
        with torch.no_grad():
            changed.get_parameter(name).view(-1)[-1] += 1
        assert weights_sha256(changed) != weights_sha256(classifier), name
    assert weights_sha256(deepcopy(classifier)) == weights_sha256(classifier)


def test_batch_is_free_and_length_is_not(exported):
    model = import_extra("onnx").load(exported)
    (signals,) = model.graph.input
    sizes = [d.dim_param or d.dim_value for d in signals.type.tensor_type.shape.dim]
    assert sizes == ["batch", SAMPLES, 12]
    with pytest.raises(Exception, match="INVALID_ARGUMENT"):
        onnx_runtime(exported, 1).answer(noise(1, SAMPLES * 2))


def test_a_head_of_another_width_is_refused():
    with pytest.raises(ValueError, match="reads 9 features, the backbone has 8"):
        Classifier(Tiny(), nn.Linear(9, CLASSES))


def test_an_absent_package_is_one_clear_error():
    with pytest.raises(ConfigError, match=r"no_such_engine.*wardlaw\[inference\]"):
        import_extra("no_such_engine")


def test_measurement_is_of_each_engine_at_its_turn():
    calls: list[str] = []
    seconds = iter(range(1000))

    def engine(name: str, offset: float) -> Engine:
        def answer(signals):
            calls.append(name)
            return np.full((len(signals), 2), offset), np.full((len(signals), 2), 2 * offset)

        return Engine(name, "fp32", answer)

    one, two = measure([engine("one", 0.0), engine("two", 0.5)], noise(4, 16), 2, 2.5, lambda: next(seconds))
    assert calls == ["one", "two", *(["one"] * 4 + ["two"] * 4) * 2]
    assert (one.median_ms, one.ninetieth_ms, one.records_per_second) == (1e3, 1e3, 4.0)
    assert (two.probability_difference, two.logit_difference) == (0.5, 1.0)
    assert one.equal
    assert not two.equal


def test_a_nan_is_no_equality():
    lost, zero = np.full((1, 1), np.nan), np.zeros((1, 1))
    seconds = iter(range(1000))
    engines = [Engine("a", "fp32", lambda _: (zero, zero)), Engine("b", "fp32", lambda _: (lost, zero))]
    assert [m.equal for m in measure(engines, noise(1, 16), 1, 1, lambda: next(seconds))] == [True, False]


SILENT = """
import json, os, sys, time
from pathlib import Path

calls = []
sys.addaudithook(lambda event, _: calls.append(event) if event.startswith(("socket.", "urllib.")) else None)

from models.ecg.engines import onnx_runtime, openvino
from models.ecg.inference import noise

path, samples = Path(sys.argv[1]), int(sys.argv[2])
for engine in (onnx_runtime(path, 1), openvino(path, 1, "fp32")):
    engine.answer(noise(1, samples))
time.sleep(0.5)
files = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
sockets = [name for name in map(os.readlink, filter(os.path.islink, files)) if name.startswith("socket:")]
print(json.dumps({"calls": calls, "sockets": sockets}))
"""


def test_engines_send_nothing_and_leave_nothing_in_the_home_folder(exported, tmp_path):
    environment = {k: v for k, v in os.environ.items() if k not in {"ORT_DISABLE_TELEMETRY", "CI"}}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": os.getcwd()}
    environment.pop("XDG_CACHE_HOME", None)
    done = subprocess.run(
        [sys.executable, "-c", SILENT, str(exported), str(SAMPLES)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == {"calls": [], "sockets": []}
    assert list(tmp_path.rglob("*")) == [], "no device identifier, no client identifier"
