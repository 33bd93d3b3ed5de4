"""Transformer over patches of an ECG, bidirectional.

Patches are embedded by one matrix, as in the vision transformer (Dosovitskiy et al., arXiv
2010.11929, section 3.1), with rotary positions instead of learned ones, so that any length will do.
Blocks are those of Llama (Touvron et al., arXiv 2302.13971, section 2.2) without the causal mask and
with layer norm, for which PyTorch has a fused kernel on CPUs. Their shape follows from the width as
the decoder's does: one rule for EHR and ECG.
"""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.ecg.backbone import PATCH, Backbone
from models.ecg.batch import LEADS
from models.ecg.ladder import BASE
from models.ehr.attention import HALF, rotate, rotation
from models.ehr.ladder import Shape, shape_of
from models.ladder import width_of

RUNGS: Mapping[str, int] = MappingProxyType(
    {
        "20k": 20,
        "80k": 44,
        "200k": 72,
        "330k": 96,
        "600k": 128,
        "1m": 160,
        "2m": 224,
        "5m": 304,
        "20m": 504,
        "50m": 640,
        "85m": 768,
        "200m": 1024,
    }
)
"""Width of each rung; names are the backbone's parameters, rounded."""

ROTARY_THETA = 10_000.0

Rotation = tuple[Tensor, Tensor]


class Projection(nn.Linear):
    """A matrix without bias, zero until it is drawn."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def reset_parameters(self) -> None:
        """Use no random numbers."""
        nn.init.zeros_(self.weight)


class Attention(nn.Module):
    """Multi-head self-attention of every patch to every patch."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.head_dim = shape.head_dim
        self.qkv = Projection(shape.width, 3 * shape.width)
        self.out = Projection(shape.width, shape.width)

    def forward(self, x: Tensor, turn: Rotation) -> Tensor:
        """(B, P, d) to the same."""
        q, k, v = self.qkv(x).unflatten(-1, (3, -1, self.head_dim)).unbind(2)
        # Angles are float32 even when activations are not.
        q, k = rotate(q, *turn).to(v.dtype), rotate(k, *turn).to(v.dtype)
        attended = attend(*(t.transpose(1, 2) for t in (q, k, v))).transpose(1, 2).flatten(2)
        projected: Tensor = self.out(attended)
        return projected


class SwiGLU(nn.Module):
    """Gated feed-forward layer (Shazeer, arXiv 2002.05202, eq. 6)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_and_up = Projection(shape.width, 2 * shape.hidden)
        self.down = Projection(shape.hidden, shape.width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, P, d) to the same."""
        gate, up = self.gate_and_up(x).chunk(2, dim=-1)
        down: Tensor = self.down(functional.silu(gate) * up)
        return down


class Block(nn.Module):
    """One residual block: attention, then SwiGLU, each behind its norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(shape.width, bias=False)
        self.attention = Attention(shape)
        self.mlp_norm = nn.LayerNorm(shape.width, bias=False)
        self.mlp = SwiGLU(shape)

    def forward(self, x: Tensor, turn: Rotation) -> Tensor:
        """(B, P, d) to the same."""
        x = x + self.attention(self.attention_norm(x), turn)
        fed: Tensor = self.mlp(self.mlp_norm(x))
        return x + fed


class Transformer(Backbone):
    """Patch embedding, blocks and final norm.

    Parameters
    ----------
    shape : Shape
        Dimensions.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.stride, self.width, self.depth = PATCH, shape.width, shape.depth
        self.width_ratio = shape.width / RUNGS[BASE]
        self.stem = Projection(PATCH * LEADS, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(shape.width, bias=False)

    def layers(self, signals: Tensor) -> tuple[Tensor, ...]:
        """Outputs of all blocks: (B, L / 16, width) each."""
        patches = signals.reshape(len(signals), -1, PATCH * LEADS)
        places = torch.arange(patches.shape[1], dtype=torch.float32, device=signals.device)
        turn = rotation(places, self.shape.head_dim, ROTARY_THETA)
        # The residual stream stays float32 under autocast.
        x = self.stem(patches).float()
        outputs = []
        for block in self.blocks:
            x = block(x, turn)
            outputs.append(x)
        return *outputs[:-1], self.norm(x)

    def forward_flops(self, samples: int) -> float:
        """FLOPs over one crop: 2 a weight and patch, and 4 P^2 d for each block's attention."""
        patches, width, hidden = samples // PATCH, self.width, self.shape.hidden
        block = 2.0 * patches * (4 * width**2 + 3 * width * hidden) + 4.0 * patches**2 * width
        return 2.0 * patches * PATCH * LEADS * width + self.shape.depth * block


def attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention over (B, heads, P, head_dim) without a mask.

    PyTorch's fused attention on CPUs is written for float32: in half precision plain products are
    faster, 2 to 6 times for 32 to 313 patches.
    """
    if values.device.type == "cpu" and values.dtype in HALF:
        logits = (queries * queries.shape[-1] ** -0.5) @ keys.mT
        # Autocast would widen the shares to float32; the kernel's own sums are anyway.
        with torch.autocast("cpu", enabled=False):
            shares = torch.softmax(logits, -1)
        return shares @ values
    return functional.scaled_dot_product_attention(queries, keys, values)


def build_transformer(size: str) -> Transformer:
    """Transformer of a rung, with the constructor's values.

    Raises
    ------
    ConfigError
        If the ladder has no such rung.
    """
    return Transformer(shape_of(width_of(size, RUNGS, "transformer")))
