import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from models.checkpoint import CONFIG, WEIGHTS, load_model, save_model
from models.registry import build_model
from wardlaw.config import RunConfig
from wardlaw.config.model import ModelSection
from wardlaw.errors import CheckpointError
from wardlaw.files import file_sha256


@pytest.fixture
def folder(tmp_path, tiny):
    save_model(tiny, tmp_path, context=64)
    return tmp_path


@pytest.mark.parametrize("size", ["xs", "150k"])
def test_transformers_gives_the_same_logits(tmp_path, make_batch, size):
    from transformers import LlamaForCausalLM

    model = build_model(RunConfig(model=ModelSection(size=size)), 97)
    with torch.no_grad():
        model.lm_head.weight.mul_(20)
    save_model(model, tmp_path, context=64)
    theirs, info = LlamaForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert list(theirs.state_dict()) == list(model.state_dict())
    batch = make_batch((48,))
    with torch.no_grad():
        expected = theirs(batch.tokens[None]).logits[0]
        found = model.logits(model.hidden(batch))
    assert expected.std() > 0.5
    # The same float32 operations in another order (norm, attention kernel's layout): rounding only.
    assert (found - expected).abs().max() < 1e-5


def test_loads_back_the_same_bits(folder, tiny):
    again = load_model(folder)
    assert again.shape == tiny.shape
    assert again.vocabulary_size == tiny.vocabulary_size
    for (name, value), (other, found) in zip(
        tiny.state_dict().items(), again.state_dict().items(), strict=True
    ):
        assert name == other
        assert torch.equal(value, found)


def test_saving_twice_gives_the_same_bytes(folder, tiny):
    digest = file_sha256(folder / WEIGHTS)
    save_model(tiny, folder, context=64)
    assert file_sha256(folder / WEIGHTS) == digest
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG, WEIGHTS]


def assert_refused(folder, match):
    with pytest.raises(CheckpointError, match=match):
        load_model(folder)


def test_a_flipped_byte_is_refused(folder):
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[-3] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    assert_refused(folder, r"model\.safetensors.*not those")


def test_a_truncated_file_is_refused(folder):
    (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:100])
    assert_refused(folder, r"model\.safetensors")


def rewritten(folder, **changes):
    config = json.loads((folder / CONFIG).read_text()) | changes
    (folder / CONFIG).write_text(json.dumps(config))


def test_a_file_that_is_no_safetensors_is_refused_without_being_run(folder):
    (folder / WEIGHTS).write_bytes(b"\x80\x04\x95 not ours")
    rewritten(folder, wardlaw={"weights_sha256": file_sha256(folder / WEIGHTS)})
    assert_refused(folder, "damaged")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"hidden_size": 64}, "head_dim"),
        ({"vocab_size": 98}, "weights lm_head.weight, model.embed_tokens.weight"),
        ({"num_hidden_layers": 3}, r"weights model\.layers\.2"),
        ({"num_attention_heads": 3}, "not a multiple"),
        ({"num_attention_heads": 0}, "no model has these settings"),
        ({"rms_norm_eps": 1e-5}, "rms_norm_eps"),
        ({"tie_word_embeddings": True}, "tie_word_embeddings"),
        ({"model_type": "mistral"}, "model_type"),
        ({"hidden_size": "wide"}, "no model has these settings"),
        ({"wardlaw": {}}, "not a checkpoint's config"),
    ],
)
def test_settings_that_do_not_fit_are_refused(folder, changes, match):
    rewritten(folder, **changes)
    assert_refused(folder, match)


def test_weights_of_another_dtype_are_refused(folder):
    weights = {name: value.half() for name, value in load_file(folder / WEIGHTS).items()}
    save_file(weights, folder / WEIGHTS)
    rewritten(folder, wardlaw={"weights_sha256": file_sha256(folder / WEIGHTS)})
    assert_refused(folder, "dtypes F16")


def test_absent_files_are_refused(folder, tmp_path):
    assert_refused(tmp_path / "nowhere", "config.json")
    (folder / WEIGHTS).unlink()
    assert_refused(folder, r"model\.safetensors: cannot read")
