"""Documents laid out as pages, counted, and drawn: what the Pages tab shows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any

from ..errors import DocumentError, GlyphError
from ..index import PageIndex
from ..page import Page, PageHit
from ..rendering import Renderer, highlight
from ..sources.page_file import OPENED
from ..sources.sample import language_reference
from ..style import PageStyle
from ..vision import VisionProfile, count_text_tokens
from .conversation import Question, search
from .session import Held, Layout, Session
from .work import Event, Job

_FIRST = 4  # pages shown before all are laid out
_TELL = 0.25  # seconds between two tellings of progress
_MAX_PIXELS = 24_000_000


@lru_cache(maxsize=48)
def renderer_of(style: PageStyle | None = None, root: Path | None = None) -> Renderer:
    """The renderer that all share for a style: it remembers glyphs, so there is a bound on how many there are."""
    return Renderer(style, root=root)


def page_values(page: Page, vision: VisionProfile, renderer: Renderer) -> Event:
    """What is shown of a page: its name, size as sent, and what it costs."""
    width, height = renderer.size(page, vision=vision)
    visual, text = vision.count(width, height), count_text_tokens(page.text).count
    return {
        "id": page.id, "number": page.number, "source": page.source, "width": width, "height": height, "tokens": visual,
        "text_tokens": text, "characters": len(page.text), "file": page.picture is not None,
    }  # fmt: skip


def lay_out(job: Job, session: Session, documents: tuple[Held, ...], style: PageStyle) -> Iterator[Layout | Event]:
    """Lay documents out, or find that it was done; tells of progress, and gives the `Layout` when its first pages are there
    and again when it is whole."""
    if done := session.layout(style, documents):
        yield done
        return
    layout = Layout(style, documents)
    session.start(layout)
    renderer = renderer_of(style)
    pages = ((held, page) for held in documents for page in renderer.paginate(held.document))
    for held, page in pages:  # the first ones are quick, however long the document: nobody waits for a turn for them
        layout.take(held, page)
        if len(layout.pages) >= _FIRST:
            break
    if not layout.pages:
        raise DocumentError("there are no visible characters, so there are no pages")
    yield layout
    with job.heavy():
        told = time.monotonic()
        for held, page in pages:
            layout.take(held, page)
            if time.monotonic() - told > _TELL:
                told = time.monotonic()
                share = page.end / max(1, len(held.document.text))
                yield {"kind": "progress", "what": "Laying out pages", "done": len(layout.pages), "share": round(share, 3)}
            job.check()
    layout.whole = True
    yield layout


def preview(
    job: Job, session: Session, documents: tuple[Held, ...], style: PageStyle, vision: VisionProfile
) -> Iterator[Event]:
    """The first pages at once, then the account of all."""
    renderer, shown = renderer_of(style), False
    for item in lay_out(job, session, documents, style):
        if isinstance(item, dict):
            yield item
            continue
        layout = item
        if not shown:
            shown = True
            first = list(layout.pages.values())[:_FIRST]
            yield {"kind": "pages", "style": str(style), "pages": [page_values(page, vision, renderer) for page in first]}
    with job.heavy():
        yield from _account(job, layout, vision, renderer)


def _account(job: Job, layout: Layout, vision: VisionProfile, renderer: Renderer) -> Iterator[Event]:
    sizes: Counter[tuple[int, int]] = Counter()
    text, characters, missing, told = 0, 0, set[str](), time.monotonic()
    pages = list(layout.pages.values())
    for number, page in enumerate(pages):
        sizes[renderer.size(page)] += 1
        text += count_text_tokens(page.text).count
        characters += len(page.text)
        missing.update(page.missing)
        if number % 100 == 99 and time.monotonic() - told > _TELL:
            job.check()
            told = time.monotonic()
            yield {"kind": "progress", "what": "Counting tokens", "done": number + 1, "share": round(number / len(pages), 3)}
    families = []
    for family in VisionProfile.known():
        try:
            visual = sum(count * family.count(*_padded(size, family)) for size, count in sizes.items())
        except GlyphError:
            continue  # its own processor refuses pages of this shape
        families.append({"name": family.name, "tokens": visual, "window": family.context_window, "verified": family.verified})
    mine = next((f["tokens"] for f in families if f["name"] == vision.name), 0)
    yield {
        "kind": "account", "pages": len(pages), "characters": characters, "text_tokens": text, "tokens": mine,
        "family": vision.name, "families": families, "missing": sorted(missing)[:20], "missing_count": len(missing),
        "reflowed": any(p.style.newline == "reflow" and layout.style.newline == "auto" for p in pages[:1]),
        "documents": [{"id": held.id, "pages": len(layout.of.get(held.id, ()))} for held in layout.documents],
    }  # fmt: skip


def _padded(size: tuple[int, int], vision: VisionProfile) -> tuple[int, int]:
    return -(-size[0] // vision.grid) * vision.grid, -(-size[1] // vision.grid) * vision.grid


def indexed(job: Job, layout: Layout) -> Iterator[Event]:
    """Make the index of a layout, unless it has one; tells of progress."""
    with job.heavy(), layout.lock:
        if layout.index is not None:
            return
        index = PageIndex.open()
        try:
            pages, told = list(layout.pages.values()), time.monotonic()
            for start in range(0, len(pages), 256):
                job.check()
                index.add(pages[start : start + 256])
                if time.monotonic() - told > _TELL:
                    told = time.monotonic()
                    done = min(len(pages), start + 256)
                    yield {"kind": "progress", "what": "Indexing pages", "done": done, "share": round(done / len(pages), 3)}
        except BaseException:
            index.close()
            raise
        layout.index = index


def search_layout(layout: Layout, question: Question) -> tuple[list[PageHit], int]:
    """The best pages of a layout that was `indexed`.

    Raises:
        GlyphError: other pages have taken its place meanwhile.
    """
    with layout.lock:
        if layout.index is None:
            raise GlyphError("the pages have changed meanwhile; ask again")
        return search(layout.index, question), len(layout.index)


Marks = Sequence[tuple[int, int]]
"""Stretches of a page's text, from its beginning."""


def picture(
    page: Page, renderer: Renderer, dpi: int | None, vision: VisionProfile | None, marks: Marks, documents: Sequence[Held] = ()
) -> bytes:
    """A page as PNG: as it is sent, or larger and with stretches of its text marked.

    Raises:
        DocumentError: the file of the page is not at hand.
    """
    if page.picture is not None and renderer.missing_file(page):
        for held in documents:  # others have opened many files since; the session still holds its own
            if held.document.sha256 == page.picture.sha256:
                OPENED.keep(held.document)
    width, height = renderer.size(page, dpi)
    if width * height > _MAX_PIXELS:  # a poster of a PDF
        dpi = max(18, int((dpi or page.style.dpi) * (_MAX_PIXELS / (width * height)) ** 0.5))
    if not marks:
        return renderer.png(page, dpi, vision)
    boxes = [box for start, end in marks for _, box in renderer.boxes(page, start, end, dpi)]
    out = BytesIO()
    highlight(renderer.draw(page, dpi), boxes).save(out, "PNG", compress_level=1)
    return out.getvalue()


@lru_cache(maxsize=1)
def specimen() -> tuple[bytes, Event]:
    """A page of prose of the sample, sharper than a model gets it, and what it costs Glyph."""
    renderer, vision = renderer_of(), VisionProfile.get("glyph")
    pages = [(page, page_values(page, vision, renderer)) for page in renderer.paginate(language_reference())]
    pages = [each for each in pages if each[1]["height"] > 700 and "|" not in each[0].text] or pages  # full, and without tables
    page, values = max(pages, key=lambda each: each[1]["text_tokens"] / each[1]["tokens"])
    return renderer.png(page, 144), values


def top_of(page: Page, renderer: Renderer, marks: Marks) -> float | None:
    """How far down a page its first mark stands, as a share of its height; None without one, or where it cannot be told."""
    boxes = [box for start, end in marks for _, box in renderer.boxes(page, start, end)]
    return min(box.top for box in boxes) / renderer.size(page)[1] if boxes else None


def document_values(held: Held) -> dict[str, Any]:
    """What is shown of a document."""
    document = held.document
    return {
        "id": held.id, "name": document.name, "media_type": document.media_type, "characters": len(document.text),
        "bytes": held.size,
    }  # fmt: skip
