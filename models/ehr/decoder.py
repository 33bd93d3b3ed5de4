"""Llama-style decoder: RMSNorm, rotary positions, SwiGLU, no biases, untied embeddings.

Touvron et al., arXiv 2302.13971, section 2.2. Modules carry the names of transformers'
``LlamaForCausalLM``, so the state dict is both its checkpoint and the order of the arrays that a
federation exchanges: float32 weights only, no buffers.
"""

from itertools import accumulate, takewhile
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.ehr.attention import Attend, SegmentAttention, rotate, rotation
from models.ehr.counts import causal_pairs, flops_of
from models.ehr.ladder import Shape
from models.ehr.llama import NORM_EPSILON, ROTARY_THETA, llama_config
from models.ehr.mup import parameter_groups
from models.ehr.objectives import mean_nats, token_nats
from models.ehr.packed import PackedBatch
from models.model import Model, ParameterGroup

Rotation = tuple[Tensor, Tensor]


class Attention(nn.Module):
    """Projections of multi-head self-attention."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.head_dim = shape.head_dim
        self.q_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.k_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.v_proj = nn.Linear(shape.width, shape.width, bias=False)
        self.o_proj = nn.Linear(shape.width, shape.width, bias=False)

    def project(self, x: Tensor, turn: Rotation) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries, rotated keys and values: (T, heads, head_dim) each, of one dtype."""
        q, k, v = (
            layer(x).unflatten(-1, (-1, self.head_dim)) for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        # Angles are float32 even when activations are not: bfloat16 cannot tell position 1000 from 1001.
        return rotate(q, *turn).to(v.dtype), rotate(k, *turn).to(v.dtype), v


class SwiGLU(nn.Module):
    """Gated feed-forward layer (Shazeer, arXiv 2002.05202, eq. 6)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.up_proj = nn.Linear(shape.width, shape.hidden, bias=False)
        self.down_proj = nn.Linear(shape.hidden, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(T, d) to (T, d)."""
        down: Tensor = self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))
        return down


class Block(nn.Module):
    """One residual block: attention, then SwiGLU, each behind its norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.self_attn = Attention(shape)
        self.mlp = SwiGLU(shape)
        self.input_layernorm = nn.RMSNorm(shape.width, eps=NORM_EPSILON)
        self.post_attention_layernorm = nn.RMSNorm(shape.width, eps=NORM_EPSILON)


class Stack(nn.Module):
    """Embedding, blocks and final norm."""

    def __init__(self, shape: Shape, vocabulary_size: int) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(vocabulary_size, shape.width)
        self.layers = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.norm = nn.RMSNorm(shape.width, eps=NORM_EPSILON)


def before_attention(block: Block, x: Tensor, turn: Rotation) -> tuple[Tensor, Tensor, Tensor]:
    """First half of a block: (T, d) to queries, keys and values."""
    return block.self_attn.project(block.input_layernorm(x), turn)


def after_attention(block: Block, x: Tensor, attended: Tensor) -> Tensor:
    """Second half of a block: output projection and feed-forward layer, (T, d) to (T, d)."""
    x = x + block.self_attn.o_proj(attended)
    fed: Tensor = block.mlp(block.post_attention_layernorm(x))
    return x + fed


class Decoder(Model):
    """Causal language model over packed batches.

    Made without values (see ``models.registry.build_model``), so that no global generator is used.

    Parameters
    ----------
    shape : Shape
        Dimensions.
    vocabulary_size : int
        Number V of tokens.
    """

    def __init__(self, shape: Shape, vocabulary_size: int) -> None:
        super().__init__()
        self.shape = shape
        self.vocabulary_size = vocabulary_size
        with torch.device("meta"):
            self.model = Stack(shape, vocabulary_size)
            self.lm_head = nn.Linear(shape.width, vocabulary_size, bias=False)
        # Functions of a block, not its methods: a copy of the model must not run the original's weights.
        self.halves = (before_attention, after_attention)

    def compile_blocks(self) -> None:
        """Compile both halves of a block, once for all blocks; shapes become static."""
        before, after = self.halves
        self.halves = (
            torch.compile(before, dynamic=False, fullgraph=True),
            torch.compile(after, dynamic=False, fullgraph=True),
        )

    def embed(self, tokens: Tensor) -> Tensor:
        """(T,) tokens to (T, d)."""
        x: Tensor = self.model.embed_tokens(tokens)
        return x

    def blocks(self, x: Tensor, positions: Tensor, attends: list[Attend]) -> Tensor:
        """Pass (T, d) through all blocks and the final norm, with each block's own attention."""
        before, after = self.halves
        turn = rotation(positions, self.shape.head_dim, ROTARY_THETA)
        for block, attend in zip(self.model.layers, attends, strict=True):
            assert isinstance(block, Block)
            x = after(block, x, attend(*before(block, x, turn)))
        normed: Tensor = self.model.norm(x)
        return normed

    def hidden(self, batch: PackedBatch) -> Tensor:
        """Final hidden states, after the last norm: (T, d)."""
        attend = SegmentAttention(batch.segments, batch.tokens.device)
        return self.blocks(self.embed(batch.tokens), batch.positions, [attend] * self.shape.depth)

    def logits(self, hidden: Tensor) -> Tensor:
        """(..., d) hidden states to (..., V) logits."""
        logits: Tensor = self.lm_head(hidden)
        return logits

    def loss(self, batch: PackedBatch) -> Tensor:
        """Mean nats over the batch's targets; 0 if it has none."""
        return mean_nats(self.hidden(batch), self.lm_head.weight, batch.targets)

    @torch.no_grad()
    def nats(self, batch: PackedBatch) -> Tensor:
        """Nats of each target, 0 where there is none: (T,) float32, without gradient."""
        return token_nats(self.hidden(batch), self.lm_head.weight, batch.targets)

    def training_flops(self, batch: PackedBatch) -> float:
        """FLOPs of a forward and a backward pass over what is not padding."""
        tokens = batch.token_count
        filled = takewhile(lambda end: end <= tokens, accumulate(batch.segments))
        real = batch.segments[: sum(1 for _ in filled)]
        return 3 * flops_of(self.shape, self.vocabulary_size, tokens, causal_pairs(real)).total

    def parameter_groups(self, optimiser: str) -> list[ParameterGroup]:
        """Groups of ``models.ehr.mup``, whose rates are Adam's."""
        if optimiser != "adamw":
            raise ValueError(f"the decoder's learning rates are Adam's, not those of {optimiser}")
        return parameter_groups(self)

    def description(self, context: int) -> dict[str, Any]:
        """Settings as transformers' ``LlamaForCausalLM`` has them."""
        return llama_config(self.shape, self.vocabulary_size, context)
