"""Clipped gradients of all patients from one forward and one backward pass, layer by layer."""
