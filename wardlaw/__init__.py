"""The common ground of the rooms: configuration, run records, seeds, errors, the wire vocabulary."""

__version__ = "0.1.0"
