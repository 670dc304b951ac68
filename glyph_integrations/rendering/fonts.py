"""Which font draws which character. Order: the user's fonts, the ones that come with this package, the system's."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import freetype
import numpy as np
import numpy.typing as npt
from freetype.raw import (
    FT_Get_Char_Index,
    FT_Load_Glyph,
    FT_Matrix,
    FT_Outline_Embolden,
    FT_Outline_Transform,
    FT_Outline_Translate,
    FT_Render_Glyph,
)

from ..errors import StyleError

DEJAVU = Path(__file__).parent / "dejavu"
BUNDLED = {"sans": ("DejaVuSans.ttf", "DejaVuSansMono.ttf"), "mono": ("DejaVuSansMono.ttf", "DejaVuSans.ttf")}
_BOLD = "DejaVuSans-Bold.ttf"
_FACE_FLAG_COLOR = 1 << 14  # FT_FACE_FLAG_COLOR
_SUFFIXES = (".ttf", ".otf", ".ttc", ".otc")
_NO_INK = ("Cc", "Cf", "Zs", "Zl", "Zp")

FREETYPE = threading.RLock()
"""Held from choosing a face's size to its last bitmap: all renderers of a process share the faces, which no two threads may
use at a time."""


def is_visible(char: str) -> bool:
    """Whether a character leaves ink when drawn as it should. Control characters count as visible: they are shown as an
    escape, since text that holds them is rarely what it seems; white space and format characters do not."""
    if char in "\t\n\v\f\r\x85":
        return False
    category = unicodedata.category(char)
    if category == "Cc":
        return True
    return category not in _NO_INK and not (category == "Mn" and unicodedata.name(char, "").startswith("VARIATION SELECTOR"))


class Bitmap(NamedTuple):
    """Ink of one glyph: ``uint8[h, w]`` coverage 0 to 255; ``left`` and ``top`` from the pen to its top left pixel
    (``top`` upwards from the baseline); ``advance`` of the pen in whole pixels."""

    ink: npt.NDArray[np.uint8]
    left: int
    top: int
    advance: int


NOTHING = Bitmap(np.zeros((0, 0), np.uint8), 0, 0, 0)


class Face:
    """One face of a font file at one size."""

    def __init__(self, path: Path, index: int = 0) -> None:
        """Raises `StyleError` when the file is not a font that can be scaled."""
        self.path, self.index = path, index
        self._em = 0.0
        self.weight: float | None = None
        """Of a variable font: the weight chosen."""
        try:
            self._face = freetype.Face(str(path), index)
        except (freetype.FT_Exception, OSError) as error:
            raise StyleError(f"{path} is not a font file: {error}") from error
        if not self._face.is_scalable:
            raise StyleError(f"{path} holds bitmaps of fixed sizes only; choose an outline font (TrueType or OpenType)")
        if self._face.has_multiple_masters:
            self._set_regular_weight()

    def _set_regular_weight(self) -> None:
        axes = self._face.get_variation_info().axes
        self.weight = next((min(max(400.0, a.minimum), a.maximum) for a in axes if a.tag == "wght"), None)
        values = [min(max(400.0, a.minimum), a.maximum) if a.tag == "wght" else a.default for a in axes]
        self._face.set_var_design_coords(values)

    @property
    def family(self) -> str:
        """The family name inside the file."""
        return (self._face.family_name or b"").decode("utf-8", "replace")

    @property
    def is_coloured(self) -> bool:
        """Whether glyphs may be pictures instead of outlines."""
        return bool(self._face.face_flags & _FACE_FLAG_COLOR)

    @property
    def is_bold(self) -> bool:
        """Whether this is a bold face by design."""
        return bool(self._face.style_flags & freetype.FT_STYLE_FLAG_BOLD)

    def covers(self, char: str) -> bool:
        """Whether the font has a glyph of its own for a character."""
        with FREETYPE:
            return bool(FT_Get_Char_Index(self._face._FT_Face, ord(char)))

    def set_size(self, em: float, scale_x: float = 1.0) -> None:
        """Choose the size of the next bitmaps: em in pixels, and a horizontal scale. Hold `FREETYPE` until they are drawn."""
        self._em = em
        self._face.set_char_size(max(1, round(em * 64 * scale_x)), max(1, round(em * 64)), 72, 72)

    def bitmap(self, char: str, *, mono: bool = False, bold: bool = False, slant: bool = False) -> Bitmap:
        """Draw one character at the current size, hinted vertically, with a whole-pixel advance. About 10 microseconds.

        Args:
            mono: in black and white.
            bold: thicken the strokes, for a font without a bold face.
            slant: lean to the right.
        """
        return self.glyph_bitmap(FT_Get_Char_Index(self._face._FT_Face, ord(char)), mono=mono, bold=bold, slant=slant)

    def glyph_bitmap(
        self, glyph: int, x: int = 0, y: int = 0, *, mono: bool = False, bold: bool = False, slant: bool = False
    ) -> Bitmap:
        """`bitmap` of a glyph by its number in the font, moved by ``x`` and ``y`` 64ths of a pixel."""
        face = self._face._FT_Face
        if FT_Load_Glyph(face, glyph, freetype.FT_LOAD_TARGET_MONO if mono else 0):
            return NOTHING
        slot = face.contents.glyph.contents
        outline = ctypes.byref(slot.outline)
        if x or y:
            FT_Outline_Translate(outline, x, y)
        if bold:
            FT_Outline_Embolden(outline, max(16, round(self._em * 64 / 20)))
        if slant:
            FT_Outline_Transform(outline, ctypes.byref(FT_Matrix(0x10000, 0x3000, 0, 0x10000)))
        mode = freetype.FT_RENDER_MODE_MONO if mono else freetype.FT_RENDER_MODE_NORMAL
        if FT_Render_Glyph(face.contents.glyph, mode):
            return NOTHING
        bitmap = slot.bitmap
        rows, width, pitch = bitmap.rows, bitmap.width, abs(bitmap.pitch)
        advance = slot.advance.x + 32 >> 6
        if not rows or not width:
            return NOTHING._replace(advance=advance)
        data = np.frombuffer(ctypes.string_at(bitmap.buffer, rows * pitch), np.uint8).reshape(rows, pitch)
        if bitmap.pixel_mode == freetype.FT_PIXEL_MODE_MONO:
            data = np.unpackbits(data, axis=1) * np.uint8(255)
        return Bitmap(data[:, :width], slot.bitmap_left, slot.bitmap_top, advance)


def _system_folders() -> list[Path]:
    home = Path.home()
    if sys.platform == "win32":
        roots = [Path(os.environ.get("WINDIR", r"C:\Windows")) / "Fonts", home / "AppData/Local/Microsoft/Windows/Fonts"]
    elif sys.platform == "darwin":
        roots = [home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts")]
    else:
        roots = [home / ".local/share/fonts", home / ".fonts", Path("/usr/local/share/fonts"), Path("/usr/share/fonts")]
    return [root for root in roots if root.is_dir()]


def _preference(path: Path) -> tuple[bool, bool, bool, str]:
    name = path.stem.lower()
    # a looped Thai face of Noto sets tone marks on top of vowels
    odd = ("bold", "italic", "oblique", "black", "thin", "light", "condensed", "medium", "heavy", "looped")
    return (any(word in name for word in odd), "serif" in name and "sans" not in name, "mono" in name, str(path))


@cache
def system_fonts() -> tuple[Path, ...]:
    """Font files of this machine, upright regular sans-serif ones first, else by path."""
    found = {
        Path(folder) / name
        for root in _system_folders()
        for folder, _, names in os.walk(root)
        for name in names
        if name.lower().endswith(_SUFFIXES) and "lastresort" not in name.lower() and "adobeblank" not in name.lower()
    }
    return tuple(sorted(found, key=_preference))


@cache
def _faces_of(path: Path) -> tuple[Face, ...]:
    """The faces of a font file that can be used; of a collection with faces per region, simplified Chinese first."""
    with FREETYPE:
        try:
            faces = [Face(path)]
        except StyleError:
            return ()
        count = faces[0]._face.num_faces if path.suffix.lower() in (".ttc", ".otc") else 1
        faces += [Face(path, index) for index in range(1, count)]
    return tuple(sorted(faces, key=lambda f: ("Mono" in f.family, not f.family.endswith((" SC", " CN")), f.index)))


class FontSet:
    """The fonts of one style, in order of preference. A fallback font is opened when a character first needs it."""

    def __init__(self, font: str = "sans", extra: Iterable[str | Path] = ()) -> None:
        """
        Args:
            font: ``sans``, ``mono`` or a font file, as in `PageStyle.font`.
            extra: the user's further font files, asked before the bundled ones.

        Raises:
            StyleError: a file named here is missing or not a font.
        """
        named = [] if font in BUNDLED else [Path(font)]
        for path in (*named, *map(Path, extra)):
            if not path.is_file():
                raise StyleError(f"font file {path} does not exist; give a .ttf, .otf or .ttc file, or 'sans' or 'mono'")
            if not _faces_of(path.resolve()):
                raise StyleError(f"{path} is not an outline font that can be used")
        bundled = [DEJAVU / name for name in BUNDLED.get(font, BUNDLED["sans"])]
        users = [p.resolve() for p in (*named, *map(Path, extra))]
        mono, bold = DEJAVU / BUNDLED["mono"][0], DEJAVU / _BOLD
        self._paths = {  # by (bold, mono)
            (False, False): [*users, *bundled],
            (True, False): [*users, bold, *bundled] if font != "mono" else [*users, *bundled],
            (False, True): [mono, *users, *bundled],
            (True, True): [mono, *users, *bundled],
        }
        self._found: dict[tuple[str, bool, bool], Face | None] = {}

    def _candidates(self, bold: bool, mono: bool) -> Iterator[Face]:
        for path in self._paths[bold, mono]:
            yield from _faces_of(path)
        for path in system_fonts():
            yield from _faces_of(path)

    @property
    def main(self) -> Face:
        """The font asked first."""
        return _faces_of(self._paths[False, False][0])[0]

    def face_for(self, char: str, *, bold: bool = False, mono: bool = False) -> Face | None:
        """The first font that covers a character with ink, or None. A fallback costs one open per font file, once.

        Args:
            bold: prefer the bundled bold face; where it lacks the character the face found `is_bold` not.
            mono: prefer the bundled monospaced face.
        """
        key = (char, bold, mono)
        if key not in self._found:
            with FREETYPE:
                able = (face for face in self._candidates(bold, mono) if face.covers(char) and self._inks(face, char))
                self._found[key] = next(able, None)
        return self._found[key]

    @staticmethod
    def _inks(face: Face, char: str) -> bool:
        # colour emoji fonts map characters to glyphs without outlines
        if not face.is_coloured or not is_visible(char):
            return True
        face.set_size(24)
        return face.bitmap(char).ink.size > 0
