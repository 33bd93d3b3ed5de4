"""Tokens: which codes have one, where their values are cut, and what a token means."""

from wardlaw.vocabulary.hierarchy import Scheme
from wardlaw.vocabulary.intervals import INTERVALS, interval_classes
from wardlaw.vocabulary.meaning import Event, Interval, Marker, decode
from wardlaw.vocabulary.vocabulary import END, PAD, START, UNKNOWN, EventCode, Vocabulary

__all__ = [
    "END",
    "INTERVALS",
    "PAD",
    "START",
    "UNKNOWN",
    "Event",
    "EventCode",
    "Interval",
    "Marker",
    "Scheme",
    "Vocabulary",
    "decode",
    "interval_classes",
]
