"""How a page is sent: as an image, as text, or not at all, and what each costs. Every prompt passes this gate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..errors import PictureSizeError
from ..page import Page
from ..style import PageStyle
from ..vision import VisionProfile, count_text_tokens
from .turns import PagePart, Part, PicturePart, TextPart

if TYPE_CHECKING:
    from ..rendering import Renderer
    from ..vision.text_tokens import Tokenizer


@dataclass(frozen=True)
class Placement:
    """What was decided for one page.

    Attributes:
        page: the page.
        sent_as: ``image``, ``text`` or ``left out``.
        tokens: what it costs in the prompt, its label included; 0 when left out.
        text_tokens: what its text costs or would cost, its label included.
        image_tokens: what its image costs or would cost, its label included; None when the model has no vision profile.
        dpi: the resolution of the image; None when it is not an image.
        label: how the prompt names it: ``Page 57``, or ``Page 57 of jane_eyre.txt`` when several sources are in the prompt.
        reason: why, in a few words.
    """

    page: Page
    sent_as: Literal["image", "text", "left out"]
    tokens: int
    text_tokens: int
    image_tokens: int | None
    dpi: int | None
    label: str
    reason: str

    @property
    def parts(self) -> tuple[Part, ...]:
        """Label and image, or labelled text, or nothing."""
        if self.sent_as == "image":
            return TextPart(self.label), PagePart(self.page, self.dpi)
        return (TextPart(f"{self.label}\n{self.page.text}"),) if self.sent_as == "text" else ()

    def left_out(self, reason: str) -> Placement:
        """The same page, not sent."""
        return replace(self, sent_as="left out", tokens=0, dpi=None, reason=reason)


@dataclass(frozen=True)
class ContextReport:
    """What became of every page of a prompt, and what it all costs, in tokens of the model.

    Attributes:
        placements: one per page, best first; a page that came twice has one placement.
        tokens: all tokens of the prompt's parts. What a chat template adds around turns, a few tokens each, is not included.
        sidecar_tokens: of these, the exact strings given as text before the images.
        budget: the limit that was kept; None: no limit.
        exact: whether text tokens were counted by a real tokenizer (False: estimated).
    """

    placements: tuple[Placement, ...]
    tokens: int
    sidecar_tokens: int
    budget: int | None
    exact: bool

    @property
    def pages(self) -> tuple[Page, ...]:
        """The pages that were sent, as image or as text: what `verify_answer` is to be given."""
        return tuple(p.page for p in self.placements if p.sent_as != "left out")

    @property
    def images(self) -> tuple[Placement, ...]:
        """The pages sent as images."""
        return tuple(p for p in self.placements if p.sent_as == "image")

    @property
    def left_out(self) -> tuple[Placement, ...]:
        """The pages that were not sent."""
        return tuple(p for p in self.placements if p.sent_as == "left out")

    @property
    def image_tokens(self) -> int:
        """Tokens spent on pages as images, labels included."""
        return sum(p.tokens for p in self.images)

    @property
    def text_tokens_replaced(self) -> int:
        """Text tokens that these images stand for, labels included."""
        return sum(p.text_tokens for p in self.images)

    def to_dict(self) -> dict[str, Any]:
        """Plain values without page objects, for response metadata."""
        return {
            "tokens": self.tokens, "image_tokens": self.image_tokens, "text_tokens_replaced": self.text_tokens_replaced,
            "sidecar_tokens": self.sidecar_tokens, "budget": self.budget, "exact": self.exact,
            "pages": [
                {
                    "page": p.page.number, "source": p.page.source, "id": p.page.id, "sent_as": p.sent_as, "tokens": p.tokens,
                    "text_tokens": p.text_tokens, "image_tokens": p.image_tokens, "dpi": p.dpi, "reason": p.reason,
                }
                for p in self.placements
            ],
        }  # fmt: skip


class Candidate(NamedTuple):
    """A page to place; ``dpi`` None lets the gate choose."""

    page: Page
    dpi: int | None = None


class Gate:
    """Counts parts for one model, and decides how pages are sent to it.

    Args:
        vision: the model's `VisionProfile` or name; None: the model reads text only.
        renderer: measures and draws the images (default ``Renderer()``).
        dpi: resolution of the images. None: the page style's own, or the one recommended for the model if that is higher.
        tokenizer: passed to `count_text_tokens`.

    Raises:
        UnknownModelError: no profile is known under the name ``vision``.
    """

    def __init__(
        self,
        vision: VisionProfile | str | None,
        renderer: Renderer | None = None,
        dpi: int | None = None,
        tokenizer: Tokenizer | str | None = None,
    ) -> None:
        self.vision = None if vision is None else VisionProfile.get(vision)
        self.dpi = dpi
        self.tokenizer = tokenizer
        self._renderer = renderer

    @cached_property
    def renderer(self) -> Renderer:
        """The renderer that measures and draws."""
        return self._renderer or default_renderer()

    @cached_property
    def exact(self) -> bool:
        """Whether text tokens are counted by a real tokenizer."""
        return count_text_tokens("a", self.tokenizer).exact

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
                total += self._image_tokens(part.page, self.dpi_of(*part))
            elif isinstance(part, PicturePart) and self.vision:
                total += _picture_tokens(part.data, self.vision)
        return total

    def dpi_of(self, page: Page, dpi: int | None = None) -> int:
        """The resolution at which a page is drawn for this model."""
        recommended = PageStyle.preset(self.vision.style).dpi if self.vision else 0
        return dpi or self.dpi or max(page.style.dpi, recommended)

    def png(self, part: PagePart) -> bytes:
        """The picture of a page part, as sent to this model."""
        return self.renderer.png(part.page, dpi=self.dpi_of(*part), vision=self.vision)

    def place(self, candidates: Sequence[Candidate], budget: int | None = None, *, cheaper: bool = True) -> list[Placement]:
        """How each page is sent. Pages are taken in the order given, each as what costs less, while they fit ``budget``
        tokens; one that does not fit is left out, and a smaller one after it may still fit. The same page twice is placed once.

        A page is an image only when that costs less than its text (``cheaper=False``: whenever the model takes images), and at
        most `VisionProfile.max_images` are. A page of a PDF or an image on which no text is known is an image or left out; one
        whose file is not at hand is text or left out.
        """
        first: dict[str, Candidate] = {}
        for candidate in candidates:
            first.setdefault(candidate.page.id, candidate)
        candidates = list(first.values())
        several = len({c.page.source for c in candidates}) > 1
        left, images, placed = budget, 0, []
        for page, dpi in candidates:
            source = " ".join(page.source.split())  # a name is data: it opens no line of its own in the prompt
            label = f"{page.label} of {source}" if several and source else page.label
            dpi = self.dpi_of(page, dpi)
            text_tokens = self.count_text(f"{label}\n{page.text}")
            image_tokens, refused = self._image_cost(page, dpi, label)
            wordless = page.picture is not None and not page.text.strip()
            sent_as: Literal["image", "text", "left out"] = "text"
            cost = text_tokens
            if image_tokens is None or refused:
                reason = refused
            elif cheaper and not wordless and image_tokens >= text_tokens:
                reason = "its text costs no more than its image"
            elif self.vision and self.vision.max_images is not None and images >= self.vision.max_images:
                reason = f"the model takes at most {self.vision.max_images} images"
            else:
                sent_as, cost = "image", image_tokens
                reason = "its image costs less than its text" if cheaper else "as asked"
                reason = "no text is known of it" if wordless else reason
            if wordless and sent_as == "text":
                sent_as, reason, cost = "left out", f"no text is known of it, and {reason}", 0
            if left is not None and cost > left:
                sent_as, reason, cost = "left out", f"{cost} tokens, and {left} of the budget were left", 0
            if left is not None:
                left -= cost
            images += sent_as == "image"
            placed.append(
                Placement(page, sent_as, cost, text_tokens, image_tokens, dpi if sent_as == "image" else None, label, reason)
            )
        return placed

    def _image_cost(self, page: Page, dpi: int, label: str) -> tuple[int | None, str]:
        """What a page costs as an image, None where nothing is known of that; and why it cannot be one, empty when it can."""
        if self.vision is None:
            return None, "the model takes no images"
        if page.picture is None:
            return self.count_text(label) + self._image_tokens(page, dpi), ""
        try:  # a file's pages have any shape
            tokens = self.count_text(label) + self._image_tokens(page, dpi)
        except PictureSizeError as error:
            return None, str(error)
        return tokens, self.renderer.missing_file(page)

    def _image_tokens(self, page: Page, dpi: int) -> int:
        return self.vision.count(*self.renderer.size(page, dpi=dpi, vision=self.vision)) if self.vision else 0


@cache
def default_renderer() -> Renderer:
    """The renderer of whoever was given none; its glyphs are drawn once for all."""
    from ..rendering import Renderer

    return Renderer()


def _picture_tokens(data: bytes, vision: VisionProfile) -> int:
    from io import BytesIO

    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(data)) as image:  # reads the header only
            return vision.count(*image.size)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):  # not ours: passed on as it is
        return 0
