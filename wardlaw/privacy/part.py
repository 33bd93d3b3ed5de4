"""What the parts of a statement have in common."""

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """Frozen; a field of a later version is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)
