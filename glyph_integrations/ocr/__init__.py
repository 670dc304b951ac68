"""What stands in a picture, read from its pixels alone."""

from .engines import RapidOcrReader, TesseractReader, open_reader
from .reader import CachedReader, Reader, Stretch
from .transcript import read_lines, transcribe

__all__ = ["CachedReader", "RapidOcrReader", "Reader", "Stretch", "TesseractReader", "open_reader", "read_lines", "transcribe"]
