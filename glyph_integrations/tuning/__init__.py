"""How legible a style is, measured by reading its pages back."""

from .engines import RapidOcrReader, TesseractReader, open_reader
from .legibility import Confusion, Legibility, LineReading, measure_legibility
from .reader import CachedReader, Reader, Stretch

__all__ = [
    "CachedReader",
    "Confusion",
    "Legibility",
    "LineReading",
    "RapidOcrReader",
    "Reader",
    "Stretch",
    "TesseractReader",
    "measure_legibility",
    "open_reader",
]
