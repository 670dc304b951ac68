"""Every error this package raises on purpose. Each message says what was wrong, where, and what to do."""

from __future__ import annotations


class GlyphError(Exception):
    """Base of all errors of this package."""


class DocumentError(GlyphError):
    """A document cannot be read: missing, binary, encrypted, truncated or of an unknown kind."""


class PasswordError(DocumentError):
    """A PDF file is encrypted, and its password was not given, or is wrong."""


class EncodingError(DocumentError):
    """A text is not in the encoding that it was read in, and no other was named."""


class StyleError(GlyphError, ValueError):
    """A page style is impossible (margins exceed the page, unknown key or preset)."""


class MissingGlyphError(GlyphError):
    """A style with ``missing="error"`` met characters that no installed font covers."""


class PageFormatError(GlyphError, ValueError):
    """Stored page values (line breaks, runs, metadata) cannot be decoded, or do not belong to the text beside them."""


class UnknownModelError(GlyphError, KeyError):
    """No vision profile is known under this name."""

    __str__ = Exception.__str__  # KeyError would print the message in quotes


class PictureSizeError(GlyphError, ValueError):
    """A picture has no area, or a shape that a model's processor refuses."""


class IndexMismatchError(GlyphError):
    """An index was made by another embedder, dimension, metric or newer schema."""


class IndexCorruptError(GlyphError):
    """The truth of an index failed a check: a bad checksum, a database behind its head file, a truncated file."""


class IndexLockedError(GlyphError):
    """Another process is writing to this index."""


class QueryError(GlyphError, ValueError):
    """A search that cannot be run: ``k`` below 1, an unknown mode or filter operator, a query vector of another length."""


class BudgetError(GlyphError, ValueError):
    """The question alone does not fit the token budget."""


class ModelError(GlyphError):
    """A model or its server failed: unreachable, an error status, or an answer that is not what the protocol promises."""


class MissingExtraError(GlyphError, ImportError):
    """An optional dependency is not installed; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed; run: pip install 'glyph-integrations[{extra}]'")
        self.package = package
        self.extra = extra
