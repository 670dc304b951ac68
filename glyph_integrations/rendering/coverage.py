"""Which scripts the installed fonts cover, and what to install for a text that they do not."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from typing import NamedTuple

from .fonts import FontSet, is_visible

SAMPLES = {
    "Latin": "aŁñẞ",
    "Greek": "αΩ",
    "Cyrillic": "жЯ",
    "Arabic": "سلام",
    "Hebrew": "שלום",
    "Devanagari": "हिन्दी",
    "Bengali": "বাংলা",
    "Tamil": "தமிழ்",
    "Telugu": "తెలుగు",
    "Kannada": "ಕನ್ನಡ",
    "Malayalam": "മലയാളം",
    "Gujarati": "ગુજરાતી",
    "Gurmukhi": "ਪੰਜਾਬੀ",
    "Sinhala": "සිංහල",
    "Thai": "ไทย",
    "Lao": "ລາວ",
    "Khmer": "ខ្មែរ",
    "Myanmar": "မြန်မာ",
    "Tibetan": "བོད",
    "Georgian": "ქართ",
    "Armenian": "հայ",
    "Ethiopic": "አማርኛ",
    "CJK": "中文国語",
    "Hiragana": "ひら",
    "Katakana": "カタ",
    "Hangul": "한글",
    "Mathematics": "∑∫≤→",
    "Emoji": "😀👍🎉",
}
_CJK = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC", "FULLWIDTH", "HALFWIDTH")


class Coverage(NamedTuple):
    """How one script is covered: by which ``font`` files, how many distinct characters of it are ``covered``, which are
    ``missing``, and what to install for those."""

    script: str
    fonts: tuple[str, ...]
    covered: int
    missing: str
    advice: str


def script_of(char: str) -> str:
    """A letter's script as its Unicode name begins (``LATIN``, ``CJK``, ``DEVANAGARI``); ``SIGNS``, ``EMOJI``, ``CONTROL``,
    ``PRIVATE USE``, ``SURROGATE`` or ``UNASSIGNED`` for the rest."""
    category = unicodedata.category(char)
    if category[0] in "LM":
        return unicodedata.name(char, "OTHER").split()[0].removesuffix("-")
    if 0x1F000 <= ord(char) < 0x1FB00 and category != "Cn":
        return "EMOJI"
    return {"Cc": "CONTROL", "Co": "PRIVATE USE", "Cs": "SURROGATE", "Cn": "UNASSIGNED"}.get(category, "SIGNS")


def coverage(text: str, fonts: FontSet) -> list[Coverage]:
    """Coverage of the visible characters of a text by script, scripts with missing characters first.

    Opens fallback fonts until each character is found: seconds on a machine with thousands of fonts, when something is missing.
    """
    by_script: dict[str, list[str]] = defaultdict(list)
    for char in sorted(set(text)):
        if is_visible(char):
            by_script[script_of(char)].append(char)
    found = []
    for script, chars in by_script.items():
        files: Counter[str] = Counter()
        missing = []
        for char in chars:
            face = None if script in ("CONTROL", "SURROGATE") else fonts.face_for(char)
            if face is None:
                missing.append(char)
            else:
                files[face.path.name] += 1
        names = tuple(name for name, _ in files.most_common())
        found.append(Coverage(script, names, len(chars) - len(missing), "".join(missing), _advice(script) if missing else ""))
    return sorted(found, key=lambda c: (not c.missing, c.script))


def _advice(script: str) -> str:
    if script in ("PRIVATE USE", "UNASSIGNED", "CONTROL", "SURROGATE"):
        return "no font has these; they are drawn as codes"
    if script in _CJK:
        return "Noto Sans CJK (Debian: fonts-noto-cjk; or any Chinese, Japanese or Korean font)"
    if script == "SIGNS":
        return "Noto Sans Symbols and Noto Sans Math (Debian: fonts-noto-core)"
    if script == "EMOJI":
        return "Noto Emoji, the monochrome one (Debian: fonts-noto-extra), or Symbola (fonts-symbola)"
    return f"Noto Sans {script.title()} (Debian: fonts-noto-core), or any font of this script"
