"""Masked prediction whose targets are a teacher's features."""

from models.ecg.backbone import Backbone
from models.ecg.objectives.masked import MaskedPrediction
from models.ecg.objectives.teacher import Teacher
from wardlaw.config.objective import ObjectiveSection


class TaughtPrediction(MaskedPrediction):
    """The student sees the masked signal, the teacher all of it."""

    def __init__(self, section: ObjectiveSection, backbone: Backbone) -> None:
        super().__init__(section, backbone)
        self.teacher = Teacher(backbone, section.teacher_decay)

    def start(self, backbone: Backbone) -> None:
        """The teacher starts as the student, once that has its first weights."""
        self.teacher.start(backbone)

    def after_step(self, backbone: Backbone) -> None:
        """The teacher follows the student."""
        self.teacher.follow(backbone)

    def target_flops(self, backbone: Backbone, samples: int) -> float:
        """FLOPs of the teacher's pass over one crop."""
        return backbone.forward_flops(samples)
