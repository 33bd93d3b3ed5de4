"""The trainer against a loop over patients in float64, its resumption, and what it refuses.

Run as a program, this file trains alone and kills itself at a given moment.
"""

import math
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

import client.training.state as state_module
from client.ehr.batches import BatchStream
from client.ehr.shard import TokenSplit
from client.training.replica import Replica, build_optimiser, build_replica, training_device
from client.training.run import train_alone
from client.training.schedule import learning_rate
from client.training.state import load_state, resume, retain_states, save_state, saved_steps
from client.training.trainer import train_steps
from models.ehr.decoder import Decoder
from models.ehr.mup import parameter_groups
from models.ehr.packed import PackedBatch
from wardlaw.config import RunConfig, from_flat
from wardlaw.errors import CheckpointError, ConfigError, TrainingError
from wardlaw.records import read_rows

VOCABULARY_SIZE = 50
STEPS = 12


def make_split(patients: int = 12, seed: int = 0) -> TokenSplit:
    random = np.random.default_rng(seed)
    sizes = random.integers(2, 90, patients)
    total = int(sizes.sum())
    return TokenSplit(
        tokens=random.integers(0, VOCABULARY_SIZE, total).astype(np.uint16),
        minutes=np.sort(random.integers(0, 10**5, total)).astype(np.int32),
        starts_event=np.ones(total, np.uint8),
        subject_ids=np.arange(patients),
        first_token=np.cumsum(sizes) - sizes,
        lengths=sizes,
        events=sizes,
        origin=np.zeros(patients, "datetime64[us]"),
    )


def make_config(**train: object) -> RunConfig:
    settings = {
        "tokens": 128 * STEPS,
        "batch-tokens": 128,
        "checkpoint-steps": 4,
        "device": "cpu",
        "threads": 1,
    } | {name.replace("_", "-"): value for name, value in train.items()}
    flat = {f"train.{name}": value for name, value in settings.items()}
    return from_flat({"run.topology": "centralised", "model.context": 32, **flat})


def make_replica(config: RunConfig, seed: int = 0) -> Replica:
    stream = BatchStream([("a", make_split(seed=seed))], 128, 32, "ethos", 0, "a")
    return build_replica(config, stream, VOCABULARY_SIZE)


def weights_of(replica: Replica) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in replica.model.named_parameters()}


def equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


# Correctness: nothing below is packed, fused, chunked or float32.


def loop_loss(model: Decoder, batch: PackedBatch) -> Tensor:
    """Mean nats over a batch's targets, one patient's window at a time."""
    total, count, end = torch.zeros((), dtype=torch.float64), 0, 0
    for size in batch.segments:
        start, end = end, end + size
        targets = batch.targets[start:end]
        if (targets >= 0).all():
            window = PackedBatch(
                batch.tokens[start:end], targets, torch.arange(size, dtype=torch.float32), (size,)
            )
            total = total + cross_entropy(model.logits(model.hidden(window)), targets, reduction="sum")
            count += size
    return total / count


def loop_train(config: RunConfig, model: Decoder, stream: BatchStream, steps: range, mu: float) -> None:
    """AdamW as its paper writes it, on gradients of ``loop_loss``."""
    section = config.train
    anchor = {weight: weight.detach().clone() for weight in model.parameters()}
    first = {weight: torch.zeros_like(weight) for weight in model.parameters()}
    second = {weight: torch.zeros_like(weight) for weight in model.parameters()}
    for step in steps:
        gradients = torch.autograd.grad(loop_loss(model, stream.batch(step)), list(anchor))
        norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))
        clipped = {
            weight: gradient * min(1.0, section.clip_norm / (norm + 1e-6))
            for weight, gradient in zip(anchor, gradients, strict=True)
        }
        with torch.no_grad():
            for group in parameter_groups(model):
                rate = learning_rate(section, step, config.steps) * group["lr_multiplier"]
                decay = section.weight_decay * group["weight_decay_multiplier"]
                for weight in group["params"]:
                    gradient = clipped[weight] + mu * (weight - anchor[weight])
                    first[weight] = section.beta_1 * first[weight] + (1 - section.beta_1) * gradient
                    second[weight] = section.beta_2 * second[weight] + (1 - section.beta_2) * gradient**2
                    mean = first[weight] / (1 - section.beta_1 ** (step + 1))
                    spread = (second[weight] / (1 - section.beta_2 ** (step + 1))).sqrt()
                    weight.copy_(weight * (1 - rate * decay) - rate * mean / (spread + section.epsilon))


def in_float64(config: RunConfig, replica: Replica) -> Replica:
    model = replica.model.double()
    return replace(replica, config=config, model=model, optimiser=build_optimiser(config.train, model))


def test_packed_loss_equals_a_loop_over_patients_in_float64() -> None:
    replica = make_replica(make_config())
    for step in range(4):
        batch = replica.stream.batch(step)
        packed = replica.model.float().loss(batch).item()
        assert packed == pytest.approx(loop_loss(replica.model.double(), batch).item(), rel=1e-6)


@pytest.mark.parametrize("mu", [0.0, 0.3])
def test_training_equals_a_loop_over_patients(mu: float) -> None:
    # The clip is low enough to act, so its place before the proximal term matters.
    config = make_config(clip_norm=0.1)
    replica = in_float64(config, make_replica(config))
    reference = in_float64(config, make_replica(config))
    rows = train_steps(replica, range(5), anchor=weights_of(replica), mu=mu)
    loop_train(config, reference.model, reference.stream, range(5), mu)
    assert min(row["gradient_norm"] for row in rows) > 0.1
    for name, weight in weights_of(replica).items():
        expected = weights_of(reference)[name]
        assert torch.allclose(weight, expected, rtol=1e-7, atol=1e-9), name


def test_rows_of_steps() -> None:
    config = make_config()
    replica = make_replica(config)
    rows = train_steps(replica, range(3))
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert {row["replica"] for row in rows} == {"a"}
    assert rows[0]["loss"] == pytest.approx(math.log(VOCABULARY_SIZE), abs=0.2)
    assert all(100 < row["tokens"] <= 128 for row in rows)
    assert [row["learning_rate"] for row in rows] == [learning_rate(config.train, s, STEPS) for s in range(3)]


def test_loss_falls_on_what_can_be_learnt() -> None:
    config = make_config(tokens=128 * 60, learning_rate=0.02)
    split = make_split()
    split.tokens[:] = np.arange(len(split.tokens)) % VOCABULARY_SIZE
    stream = BatchStream([("a", split)], 128, 32, "ethos", 0, "a")
    rows = train_steps(build_replica(config, stream, VOCABULARY_SIZE), range(60))
    assert rows[-1]["loss"] < 0.5 * rows[0]["loss"]


def test_bf16_stays_near_fp32() -> None:
    full, half = (train_steps(make_replica(make_config(precision=p)), range(6)) for p in ("fp32", "bf16"))
    assert full != half
    np.testing.assert_allclose([r["loss"] for r in full], [r["loss"] for r in half], rtol=0.02)


# FedProx.


def test_without_a_pull_the_anchor_changes_no_bit() -> None:
    plain, anchored = make_replica(make_config()), make_replica(make_config())
    anchor = {name: weight + 1 for name, weight in weights_of(plain).items()}
    assert train_steps(plain, range(4)) == train_steps(anchored, range(4), anchor, mu=0.0)
    assert equal(weights_of(plain), weights_of(anchored))


def test_the_anchor_stays_where_it_is() -> None:
    plain, pulled = make_replica(make_config()), make_replica(make_config())
    anchor = dict(pulled.model.named_parameters())
    train_steps(plain, range(1))
    train_steps(pulled, range(1), anchor, mu=1.0)
    # At the anchor itself the pull is nothing; an anchor that moved along would keep it so.
    assert equal(weights_of(plain), weights_of(pulled))
    start = weights_of(make_replica(make_config()))
    train_steps(plain, range(1, 8))
    train_steps(pulled, range(1, 8), start, mu=100.0)

    def distance(replica: Replica) -> float:
        return sum(float((weight - start[name]).norm()) for name, weight in weights_of(replica).items())

    assert distance(pulled) < 0.7 * distance(plain)


# State.


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_restored_replica_goes_on_with_the_same_bits(tmp_path: Path, precision: str) -> None:
    config = make_config(precision=precision)
    one = make_replica(config)
    train_steps(one, range(5))
    save_state(tmp_path, one, 5)
    expected = train_steps(one, range(5, 10))
    other = make_replica(config)
    load_state(tmp_path, other, 5)
    assert train_steps(other, range(5, 10)) == expected
    assert equal(weights_of(one), weights_of(other))


def test_a_state_before_the_first_step(tmp_path: Path) -> None:
    one, other = make_replica(make_config()), make_replica(make_config())
    save_state(tmp_path, one, 0)
    train_steps(other, range(2))
    load_state(tmp_path, other, 0)
    assert train_steps(other, range(3)) == train_steps(one, range(3))


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_any_flipped_byte_is_found(tmp_path: Path, suffix: str) -> None:
    replica = make_replica(make_config())
    train_steps(replica, range(1))
    save_state(tmp_path, replica, 1)
    before = weights_of(replica)
    path = tmp_path / f"step-00000001{suffix}"
    content = path.read_bytes()
    places = np.random.default_rng(0).integers(0, len(content), 30).tolist()
    for place in [0, len(content) // 2, *places]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << (place % 7)
        path.write_bytes(damaged)
        # Only white space of the manifest may change without a difference in what it says.
        if suffix == ".json" and bytes([content[place]]).isspace() and bytes([damaged[place]]).isspace():
            continue
        with pytest.raises(CheckpointError):
            load_state(tmp_path, replica, 1)
        assert equal(weights_of(replica), before)
    path.write_bytes(content[:-9])
    with pytest.raises(CheckpointError):
        load_state(tmp_path, replica, 1)
    path.write_bytes(content)
    load_state(tmp_path, replica, 1)


def test_another_runs_state_is_refused(tmp_path: Path) -> None:
    save_state(tmp_path, make_replica(make_config()), 3)
    stranger = make_replica(make_config(learning_rate=0.5))
    with pytest.raises(CheckpointError, match="another run"):
        load_state(tmp_path, stranger, 3)
    with pytest.raises(CheckpointError, match="another run"):
        resume(tmp_path, stranger)
    for suffix in (".json", ".safetensors"):
        (tmp_path / f"step-00000003{suffix}").rename(tmp_path / f"step-00000009{suffix}")
    with pytest.raises(CheckpointError, match="step"):
        load_state(tmp_path, make_replica(make_config()), 9)


def test_resume_takes_the_newest_intact_state(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    replica = make_replica(make_config())
    assert resume(tmp_path, replica) == 0
    for step in (2, 4):
        save_state(tmp_path, replica, step)
    assert resume(tmp_path, replica) == 4
    path = tmp_path / "step-00000004.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    assert resume(tmp_path, replica) == 2
    assert "step-00000004" in caplog.text
    (tmp_path / "step-00000002.json").write_text("{}")
    with pytest.raises(CheckpointError):
        resume(tmp_path, replica)


def test_retained_states(tmp_path: Path) -> None:
    replica = make_replica(make_config())
    for step in (2, 4, 6):
        save_state(tmp_path, replica, step)
    (tmp_path / ".step-00000008.safetensors.99.tmp").write_bytes(b"half")
    retain_states(tmp_path, [4, 6])
    assert saved_steps(tmp_path) == [4, 6]
    assert len(list(tmp_path.iterdir())) == 4


# A whole run.


def run_alone(folder: Path) -> Replica:
    config = make_config()
    splits = [("a", make_split(seed=1)), ("b", make_split(seed=2))]
    budget, context = config.replica_batch_tokens, config.model.context
    stream = BatchStream(splits, budget, context, "fused", config.run.seed, "union")
    return train_alone(build_replica(config, stream, VOCABULARY_SIZE), folder)


def kill_at(moment: str) -> None:
    """Arrange this process's death: ``batch 7`` before that step, ``manifest`` in the second save."""

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    kind, _, step = moment.partition(" ")
    if kind == "batch":
        batch = BatchStream.batch
        BatchStream.batch = lambda self, at: die() if at == int(step) else batch(self, at)  # type: ignore[assignment]
    else:
        write = state_module.write_text_atomically
        state_module.write_text_atomically = (  # type: ignore[assignment]
            lambda path, text: die() if saved_steps(path.parent) else write(path, text)
        )


def in_another_process(folder: Path, moment: str) -> int:
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, __file__, str(folder), moment], env=environment).returncode


def test_killed_runs_end_in_the_same_bits(tmp_path: Path) -> None:
    straight = run_alone(tmp_path / "straight")
    step = int(np.random.default_rng().integers(1, STEPS))
    for moment in (f"batch {step}", "manifest"):
        folder = tmp_path / moment
        assert in_another_process(folder, moment) == -signal.SIGKILL
        assert equal(weights_of(run_alone(folder)), weights_of(straight)), moment
        assert read_rows(folder, "steps") == read_rows(tmp_path / "straight", "steps"), moment
    rows = read_rows(tmp_path / "straight", "steps")
    assert [row["step"] for row in rows] == list(range(STEPS))
    assert len(saved_steps(tmp_path / "straight" / "checkpoints")) == 2


def test_a_finished_run_is_not_trained_again(tmp_path: Path) -> None:
    first = run_alone(tmp_path)
    table = tmp_path / "steps.parquet"
    written = table.stat().st_mtime_ns
    assert equal(weights_of(run_alone(tmp_path)), weights_of(first))
    assert table.stat().st_mtime_ns == written


# What is refused.


def test_divergence_is_one_clear_error_and_leaves_the_weights() -> None:
    replica = make_replica(make_config())
    train_steps(replica, range(1))
    with torch.no_grad():
        replica.model.lm_head.weight[0, 0] = math.inf
    before = weights_of(replica)
    with pytest.raises(TrainingError, match=r"replica a, step 1.*learning-rate"):
        train_steps(replica, range(1, 3))
    assert equal(weights_of(replica), before)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"train\.device"):
        training_device(make_config(device="cuda").train)


@pytest.mark.slow
def test_compiled_blocks_train_alike() -> None:
    plain = train_steps(make_replica(make_config()), range(4))
    compiled = train_steps(make_replica(make_config(compile=True)), range(4))
    np.testing.assert_allclose([r["loss"] for r in plain], [r["loss"] for r in compiled], rtol=1e-5)


if __name__ == "__main__":
    torch.set_num_threads(1)
    kill_at(sys.argv[2])
    run_alone(Path(sys.argv[1]))
