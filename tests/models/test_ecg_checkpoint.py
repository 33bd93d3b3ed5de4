"""Checkpoints of ECG models: the same bits back, and nothing else taken for one."""

import copy
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from models.checkpoint import CONFIG, WEIGHTS, load_model, save_model
from models.counts import flops_per_token, parameters
from models.ecg.batch import SignalBatch
from models.ecg.counts import outline
from models.ecg.families import RUNGS
from models.registry import build_model
from models.weights import load_weights, weight_record
from tests.models.small_ecg import NAMES
from wardlaw.config import from_flat
from wardlaw.config.model import ECG_FAMILIES
from wardlaw.errors import CheckpointError, ConfigError
from wardlaw.files import file_sha256

CONTEXT = 512


def config_of(family="resnet", objective="bce", **changes):
    settings = {
        "model.family": family,
        "model.size": RUNGS[family][0],
        "model.context": CONTEXT,
        "objective.name": objective,
    }
    return from_flat(settings | {key.replace("__", ".").replace("_", "-"): v for key, v in changes.items()})


def saved(folder, family="resnet", objective="bce", **changes):
    model = build_model(config_of(family, objective, **changes), 26)
    stream = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for value in model.state_dict().values():
            value.add_(torch.rand(value.shape, generator=stream))
    save_model(model, folder, CONTEXT)
    return model


@pytest.mark.parametrize(
    ("family", "objective"), [*((f, "dinosr") for f in ECG_FAMILIES), *(("resnet", n) for n in NAMES)]
)
def test_the_same_bits_come_back(tmp_path, family, objective):
    model = saved(tmp_path, family, objective)
    again = load_model(tmp_path)
    expected = model.state_dict()
    assert list(again.state_dict()) == list(expected)
    assert all(torch.equal(value, expected[name]) for name, value in again.state_dict().items())
    assert again.settings == model.settings
    assert again.section == model.section
    assert {n for n, p in again.named_parameters() if p.requires_grad} == {
        n for n, p in model.named_parameters() if p.requires_grad
    }
    assert again.description(CONTEXT) == model.description(CONTEXT)


def test_settings_of_model_and_objective_come_back(tmp_path):
    design = {"model__size": "custom", "model__regnet__depth": 6, "model__regnet__squeeze": 0.25}
    saved(tmp_path, "regnet", "data2vec", **design, objective__teacher_decay=0.9)
    again = load_model(tmp_path)
    assert (again.section.regnet.depth, again.section.regnet.squeeze) == (6, 0.25)
    assert (again.settings.teacher_decay, again.objective.teacher.decay) == (0.9, 0.9)


def rewritten(folder, change):
    config = json.loads((folder / CONFIG).read_text())
    changed = copy.deepcopy(config)
    change(changed)
    assert changed != config
    (folder / CONFIG).write_text(json.dumps(changed))


def setting(field, value, table="model"):
    return lambda config: config[table].__setitem__(field, value)


def whole(field, value):
    return lambda config: config.__setitem__(field, value)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (setting("size", "80k"), "weights backbone"),
        (setting("size", "7k"), "no model has these settings"),
        (setting("size", 3), "no model has these settings"),
        (setting("family", "decoder"), "no model has these settings"),
        (setting("family", "vgg"), "no model has these settings"),
        (setting("family", "transformer"), "weights backbone"),
        (setting("context", 500), "no model has these settings"),
        (setting("colour", "red"), "no model has these settings"),
        (setting("name", "jepa", "objective"), "weights objective"),
        (setting("name", "next-token", "objective"), "no model has these settings"),
        (setting("codes", 8, "objective"), "no model has these settings"),
        (whole("outputs", 27), r"weights objective\.head"),
        (whole("outputs", "26"), "outputs = '26', but our model has 26"),
        (whole("outputs", -1), "no model has these settings"),
        (whole("outputs", None), "no model has these settings"),
        (whole("model", []), "no model has these settings"),
        (whole("model", "resnet"), "no model has these settings"),
        (whole("objective", None), "no model has these settings"),
        (lambda config: config.pop("objective"), "no model has these settings"),
        (lambda config: config.pop("max_position_embeddings"), "no model has these settings"),
        (whole("model_type", "wardlaw-eeg"), "none of ours"),
        (whole("model_type", ["llama"]), "none of ours"),
    ],
)
def test_altered_settings_are_refused_in_one_line(tmp_path, change, match):
    saved(tmp_path)
    rewritten(tmp_path, change)
    with pytest.raises(CheckpointError, match=match) as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_altered_weights_are_refused_in_one_line(tmp_path):
    saved(tmp_path, "transformer", "dinosr")
    content = (tmp_path / WEIGHTS).read_bytes()
    for damaged in (content[:-4], content[:-1] + bytes([content[-1] ^ 1])):
        (tmp_path / WEIGHTS).write_bytes(damaged)
        with pytest.raises(CheckpointError, match="the weights are not those") as caught:
            load_model(tmp_path)
        assert "\n" not in str(caught.value)
    (tmp_path / WEIGHTS).write_bytes(content)
    for weights, match in (
        ({name: value.half() for name, value in load_file(tmp_path / WEIGHTS).items()}, "dtypes F16"),
        (
            {name: value for name, value in load_file(tmp_path / WEIGHTS).items() if "codebooks" not in name},
            "weights objective.codebooks",
        ),
    ):
        (tmp_path / WEIGHTS).write_bytes(content)
        save_file(weights, tmp_path / WEIGHTS)
        rewritten(tmp_path, whole("wardlaw", {"weights_sha256": file_sha256(tmp_path / WEIGHTS)}))
        with pytest.raises(CheckpointError, match=match):
            load_model(tmp_path)


def test_a_record_of_weights_of_another_objective_is_refused():
    one, other = (build_model(config_of(objective=name), 26) for name in ("dinosr", "data2vec"))
    with pytest.raises(ConfigError, match="not those of this run's model") as caught:
        load_weights(other, weight_record(one))
    assert "\n" not in str(caught.value)


def test_a_record_of_weights_keeps_teacher_and_codebooks_to_the_bit():
    model, other = (build_model(config_of(objective="dinosr", run__seed=seed), 26) for seed in (0, 1))
    load_weights(other, weight_record(model))
    expected = model.state_dict()
    assert any("codebooks" in name for name in expected)
    assert all(torch.equal(value, expected[name]) for name, value in other.state_dict().items())


# Counts.


@pytest.mark.parametrize("objective", NAMES)
@pytest.mark.parametrize("family", ECG_FAMILIES)
def test_counts_are_those_of_the_built_model(family, objective):
    config = config_of(family, objective)
    model, counted = build_model(config, 26), parameters(config, 26)
    assert counted.embedding == 0
    assert counted.blocks == sum(p.numel() for p in model.backbone.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert counted.total == trained
    assert sum(p.numel() for g in model.parameter_groups("adamw") for p in g["params"]) == trained


def test_an_outline_takes_no_memory():
    config = config_of("resnet", "dinosr", model__size="200m")
    model = outline(config.model, config.objective, 26)
    assert {value.device.type for value in model.state_dict().values()} == {"meta"}


def crops(length, rows=3):
    stream = torch.Generator().manual_seed(0)
    signals = torch.randn(rows, CONTEXT, 12, generator=stream)
    return SignalBatch(signals, torch.zeros(rows, 26), torch.full((rows,), length), torch.arange(rows))


# PyTorch's counter is wrong about the backward pass of grouped convolutions; their forward passes are
# counted in the families' own tests.
@pytest.mark.parametrize("family", ["resnet", "transformer"])
def test_flops_of_a_step_are_those_that_pytorch_counts(family):
    config = config_of(family, model__size="80k")
    model, batch = build_model(config, 26), crops(CONTEXT)
    # Three passes are exact where the signals get a gradient too; fused attention is not counted.
    batch.signals.requires_grad_()
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model.loss(batch).backward()
    assert model.training_flops(batch) == counter.get_total_flops()
    assert model.training_flops(batch) == 3 * flops_per_token(config, 26) * batch.token_count


def test_padding_is_left_out_of_flops():
    model = build_model(config_of(), 26)
    assert model.training_flops(crops(CONTEXT // 2)) == model.training_flops(crops(CONTEXT)) / 2
