"""The same patients at every step, for private and plain loops alike."""

from dataclasses import dataclass

from models.model import Batch


@dataclass
class FixedPatients:
    """Draws all of them, or has them as one batch.

    Attributes
    ----------
    everyone : tuple of Batch
        One a patient.
    together : Batch
        The same, stacked or packed.
    """

    everyone: tuple[Batch, ...]
    together: Batch
    name: str = "bench"
    sampling_rate: float = 1.0
    unique_tokens: int = 1
    expected_tokens: float = 1.0

    @property
    def patients(self) -> int:
        """All of them."""
        return len(self.everyone)

    def draw(self, step: int) -> tuple[Batch, ...]:
        """Everyone, one by one."""
        return self.everyone

    def batch(self, step: int) -> Batch:
        """Everyone at once."""
        return self.together
