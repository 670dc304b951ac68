"""How legible a style is, measured by reading its pages back."""

from ..ocr import CachedReader, RapidOcrReader, Reader, Stretch, TesseractReader, open_reader
from .legibility import Confusion, Legibility, LineReading, measure_legibility

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
