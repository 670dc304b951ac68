"""How a page is sent: as an image, as text, or not at all, and what each costs. Every prompt passes this gate."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import PictureSizeError, StyleError
from ..page import Page
from ..style import PageStyle
from ..vision import VisionProfile, count_text_tokens
from .excerpts import Lines, lines_text
from .report import Placement, SentAs
from .turns import PagePart, Part, PicturePart, TextPart, Turn

if TYPE_CHECKING:
    from PIL import Image

    from ..rendering import Renderer
    from ..vision.text_tokens import Tokenizer


_log = logging.getLogger("glyph_integrations")
_TURN = 5  # tokens that a chat template puts around a turn: begin, role, newline, end, newline (ChatML; others have 2 to 6)
_REPLY = 3  # and to begin the answer
_SIDECAR = 96
_UNREADABLE = "a calibration of the model found that it cannot read pages"
_DESCRIBED = 40  # and to introduce tools or a schema


class Candidate(NamedTuple):
    """A page to place; ``dpi`` None lets the gate choose; ``lines`` None means all of it; ``named`` says whether its label
    tells the source (None: where the candidates have several)."""

    page: Page
    dpi: int | None = None
    lines: Lines | None = None
    named: bool | None = None


class Limits(NamedTuple):
    """What a server takes in one request. None: as far as is known, no limit.

    Attributes:
        images: most pictures.
        bytes: most bytes of all pictures together, in base64 as they are sent.
        pixels: most pixels of one picture.
    """

    images: int | None = None
    bytes: int | None = None
    pixels: int | None = None


class Room(NamedTuple):
    """What is left of a budget and of a server's limits; None: no limit."""

    tokens: int | None
    images: int | None
    bytes: int | None

    def less(self, tokens: int, images: int = 0, size: int = 0) -> Room:
        """What is left when this is taken."""
        return Room(*(left if left is None else left - used for left, used in zip(self, (tokens, images, size), strict=True)))


class Gate:
    """Counts parts for one model, and decides how pages are sent to it.

    Attributes:
        profile: the model's; None: it reads text only.
        vision: the same, but None as well where a calibration found that the model cannot read pages.

    Args:
        vision: the model's `VisionProfile` or name; None: the model reads text only.
        renderer: measures and draws the images (default ``Renderer()``).
        dpi: resolution of the images. None: the page style's own, or the one recommended for the model if that is higher.
        tokenizer: passed to `count_text_tokens`.
        limits: of the server, beside the profile's own `max_images`.

    Raises:
        UnknownModelError: no profile is known under the name ``vision``.
        StyleError: ``dpi`` not from 18 to 1200.
    """

    def __init__(
        self,
        vision: VisionProfile | str | None,
        renderer: Renderer | None = None,
        dpi: int | None = None,
        tokenizer: Tokenizer | str | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.profile = None if vision is None else VisionProfile.get(vision)
        self.vision = self.profile if self.profile and self.profile.reads_pages else None
        if self.profile and not self.profile.reads_pages:
            _say_text_only(self.profile.name)
        if dpi is not None and not 18 <= dpi <= 1200:
            raise StyleError(f"dpi={dpi}: must be from 18 to 1200")
        self.dpi = dpi
        self.tokenizer = tokenizer
        limits = limits or Limits()
        most = [n for n in (limits.images, self.vision.max_images if self.vision else None) if n is not None]
        self.limits = limits._replace(images=min(most, default=None))
        self._renderer = renderer

    @cached_property
    def renderer(self) -> Renderer:
        """The renderer that measures and draws."""
        return self._renderer or default_renderer()

    @cached_property
    def exact(self) -> bool:
        """Whether text tokens are counted by a real tokenizer."""
        return count_text_tokens("a", self.tokenizer).exact

    def sidecar(self, asked: int | None) -> int:
        """Most tokens of exact strings that are sent as text: what was asked for, or else 96; none of a model whose calibration
        says that it reads them right."""
        return asked if asked is not None else 0 if self.vision and self.vision.exact_strings else _SIDECAR

    def count_text(self, text: str) -> int:
        """Tokens of a text."""
        return count_text_tokens(text, self.tokenizer).count if text else 0

    def count(self, parts: Iterable[Part]) -> int:
        """Tokens of parts: each text by itself, each image by the profile. Opaque parts and unreadable pictures are free."""
        total = 0
        for part in parts:
            if isinstance(part, TextPart):
                total += self.count_text(part.text)
            elif isinstance(part, PagePart):
                total += self._image_tokens(part.page, self.dpi_of(part.page, part.dpi), part.lines)
            elif isinstance(part, PicturePart) and self.vision:
                total += _picture_tokens(part.data, self.vision)
        return total

    def dpi_of(self, page: Page, dpi: int | None = None) -> int:
        """The resolution at which a page is drawn for this model."""
        recommended = PageStyle.parse(self.vision.style).dpi if self.vision else 0
        return dpi or self.dpi or max(page.style.dpi, recommended)

    def png(self, part: PagePart) -> bytes:
        """The picture of a page part, as sent to this model."""
        dpi = self.dpi_of(part.page, part.dpi)
        return self.renderer.png(part.page, dpi=dpi, vision=self.vision, lines=part.lines)

    def image(self, part: PagePart) -> Image.Image:
        """The same picture for a model in this process."""
        dpi = self.dpi_of(part.page, part.dpi)
        return self.renderer.draw(part.page, dpi=dpi, vision=self.vision, lines=part.lines)

    def overhead(self, turns: Sequence[Turn], described: Iterable[Any] = ()) -> int:
        """Tokens of a prompt that are in no part, estimated: what a chat template puts around turns, tool calls, and
        descriptions of tools or of structured output (anything that can be written as JSON)."""
        calls = sum(self.count_text(f"{call.name}{call.arguments}") + _TURN for turn in turns for call in turn.tool_calls)
        shown = [json.dumps(value, ensure_ascii=False, default=str) for value in described]
        return _TURN * len(turns) + _REPLY + calls + sum(map(self.count_text, shown)) + (_DESCRIBED if shown else 0)

    # -- placing --------------------------------------------------------------------------------------------------------

    def place(
        self,
        candidates: Sequence[Candidate],
        budget: int | None = None,
        *,
        cheaper: bool = True,
        pictures: Sequence[PicturePart] = (),
    ) -> list[Placement]:
        """How each page is sent. Pages are taken in the order given, each as what costs less, while they fit ``budget``
        tokens; one that does not fit is left out, and a smaller one after it may still fit. The same page twice is placed once.

        A page is an image only when that costs less than its text (``cheaper=False``: whenever the model takes images), and
        only within the `limits`, of which other ``pictures`` of the prompt take their share. A page of a PDF or an image on
        which no text is known is an image or left out; one whose file is not at hand is text or left out.
        """
        candidates = unique(candidates)
        labels, room = labels_of(candidates), self.room(budget, pictures)
        placed = []
        for candidate in candidates:
            placement, room = self.place_one(candidate, labels[candidate.page.id], room, cheaper=cheaper)
            placed.append(placement)
        return placed

    def room(self, budget: int | None = None, pictures: Sequence[PicturePart] = ()) -> Room:
        """What a prompt may hold beside some pictures."""
        room = Room(budget, self.limits.images, self.limits.bytes)
        return room.less(0, len(pictures), sum(_base64_size(p.data) for p in pictures))

    def place_one(self, candidate: Candidate, label: str, room: Room, *, cheaper: bool = True) -> tuple[Placement, Room]:
        """How one page is sent, and what room that leaves."""
        page, dpi, lines, _ = candidate
        label = f"{label}, lines {lines[0]}-{lines[1]}" if lines else label
        dpi = self.dpi_of(page, dpi)
        text = lines_text(page, lines) if lines else page.text
        text_tokens = self.count_text(f"{label}\n{text}")
        image_tokens, refused = self._image_cost(page, dpi, lines, label)
        wordless = page.picture is not None and not page.text.strip()
        sent_as: SentAs = "text"
        cost, size = text_tokens, 0
        if image_tokens is None or refused:
            reason = refused
        elif cheaper and not wordless and image_tokens >= text_tokens:
            reason = "its text costs no more than its image"
        elif limit := self._over_limit(page, dpi, lines, room):
            reason = limit
        else:
            sent_as, cost = "image", image_tokens
            reason = "its image costs less than its text" if cheaper else "as asked"
            reason = "no text is known of it" if wordless else reason
            size = self._size(page, dpi, lines)
        if wordless and sent_as == "text":
            sent_as, reason, cost = "left out", f"no text is known of it, and {reason}", 0
        if room.tokens is not None and cost > room.tokens:
            sent_as, reason, cost, size = "left out", f"{cost} tokens, and {max(0, room.tokens)} of the budget were left", 0, 0
        image = sent_as == "image"
        placement = Placement(
            page, sent_as, cost, text_tokens, image_tokens, dpi if image else None, label, reason,
            None if sent_as == "left out" else lines,
        )  # fmt: skip
        return placement, room.less(cost, int(image), size)

    def freed(self, room: Room, placement: Placement) -> Room:
        """The room there is when a placement is taken back."""
        if placement.sent_as != "image":
            return room.less(-placement.tokens)
        return room.less(-placement.tokens, -1, -self._size(placement.page, placement.dpi, placement.lines))

    def _over_limit(self, page: Page, dpi: int, lines: Lines | None, room: Room) -> str:
        """Which limit of the server an image would break; empty when none."""
        if room.images is not None and room.images < 1:
            return f"the model takes at most {self.limits.images} images"
        if self.limits.pixels is not None:
            width, height = self.renderer.size(page, dpi=dpi, vision=self.vision, lines=lines)
            if width * height > self.limits.pixels:
                return f"its image has {width * height:,} pixels, and the server takes at most {self.limits.pixels:,}"
        if room.bytes is not None and (size := self._size(page, dpi, lines)) > room.bytes:
            return (
                f"its image has {size:,} bytes, and of the {self.limits.bytes:,} that the server takes {room.bytes:,} were left"
            )
        return ""

    def _size(self, page: Page, dpi: int | None, lines: Lines | None) -> int:
        """Bytes of an image as it is sent; 0 when nobody asks."""
        return _base64_size(self.png(PagePart(page, dpi, lines))) if self.limits.bytes is not None else 0

    def _image_cost(self, page: Page, dpi: int, lines: Lines | None, label: str) -> tuple[int | None, str]:
        """What a page costs as an image, None where nothing is known of that; and why it cannot be one, empty when it can."""
        if self.vision is None:
            return None, _UNREADABLE if self.profile else "the model takes no images"
        if page.picture is None:
            return self.count_text(label) + self._image_tokens(page, dpi, lines), ""
        try:  # a file's pages have any shape
            tokens = self.count_text(label) + self._image_tokens(page, dpi, lines)
        except PictureSizeError as error:
            return None, str(error)
        return tokens, self.renderer.missing_file(page)

    def _image_tokens(self, page: Page, dpi: int, lines: Lines | None) -> int:
        return self.vision.count(*self.renderer.size(page, dpi=dpi, vision=self.vision, lines=lines)) if self.vision else 0


def unique(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Each page once, as it came first."""
    first: dict[str, Candidate] = {}
    for candidate in candidates:
        first.setdefault(candidate.page.id, candidate)
    return list(first.values())


def labels_of(candidates: Sequence[Candidate]) -> dict[str, str]:
    """How a prompt with these pages names each, by page id."""
    several = len({c.page.source for c in candidates}) > 1
    labels = {}
    for page, _, _, named in candidates:
        source = " ".join(page.source.split())  # a name is data: it opens no line of its own in the prompt
        labels[page.id] = f"{page.label} of {source}" if source and (several if named is None else named) else page.label
    return labels


@cache
def default_renderer() -> Renderer:
    """The renderer of whoever was given none; its glyphs are drawn once for all."""
    from ..rendering import Renderer

    return Renderer()


@cache
def _say_text_only(name: str) -> None:
    _log.warning("%s: %s; pages go as text", name, _UNREADABLE)


def _base64_size(data: bytes) -> int:
    return -(-len(data) // 3) * 4


def _picture_tokens(data: bytes, vision: VisionProfile) -> int:
    from io import BytesIO

    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(data)) as image:  # reads the header only
            return vision.count(*image.size)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):  # not ours: passed on as it is
        return 0
