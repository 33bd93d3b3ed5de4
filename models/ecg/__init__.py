"""ECG models: backbones by family, objectives, the model that joins them, ladders and counts."""
