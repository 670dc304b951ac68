"""What a model is shown of a page: the part with ink, at the size its processor reads, on its grid."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pdf_files import pages_pdf
from PIL import Image

from glyph_integrations import Page, Renderer, open_document
from glyph_integrations.embedding.picture_size import PIXELS, PictureSize
from glyph_integrations.embedding.seen import see_image, see_page
from glyph_integrations.embedding.trim import find_ink
from glyph_integrations.errors import DocumentError, PictureSizeError

QWEN = PictureSize(28, 768 * 28 * 28, 0)


def processor(**images: Any) -> Any:
    return SimpleNamespace(image_processor=SimpleNamespace(**images))


def test_sizes_are_read_from_processors() -> None:
    transformers = pytest.importorskip("transformers")
    qwen = transformers.Qwen2VLImageProcessor(size={"shortest_edge": 3136, "longest_edge": 602_112})
    assert PictureSize.of(SimpleNamespace(image_processor=qwen)) == QWEN
    assert PictureSize.of(SimpleNamespace(image_processor=qwen), 100_000) == QWEN._replace(pixels=100_000)
    qwen3 = transformers.Qwen2VLImageProcessor(patch_size=16, size={"shortest_edge": 65_536, "longest_edge": 16_777_216})
    assert PictureSize.of(SimpleNamespace(image_processor=qwen3)) == PictureSize(32, PIXELS, 0)
    siglip = transformers.SiglipImageProcessor(size={"height": 448, "width": 448})
    assert PictureSize.of(SimpleNamespace(image_processor=siglip)) == PictureSize(1, 0, 896)
    tiles = transformers.Idefics3ImageProcessor(size={"longest_edge": 2048}, max_image_size={"longest_edge": 512})
    assert PictureSize.of(SimpleNamespace(image_processor=tiles)) == PictureSize(1, 0, 2048)
    assert PictureSize.of(processor()) == PictureSize(1, PIXELS, 0)


@given(st.integers(1, 4000), st.integers(1, 4000), st.sampled_from([14, 28, 32]), st.integers(4, 2400), st.floats(0.3, 4))
def test_a_picture_fits_the_grid_and_the_pixels(width: int, height: int, grid: int, cells: int, enlarged: float) -> None:
    size = PictureSize(grid, cells * grid * grid, 0)
    part, canvas = size.fit(width, height, enlarged)
    assert canvas[0] % grid == canvas[1] % grid == 0
    assert canvas[0] * canvas[1] <= size.pixels
    assert canvas[0] >= part[0] and canvas[1] >= part[1]
    assert max(canvas) / min(canvas) < 150  # processors refuse from 200


def page_of(*texts: str) -> Page:
    return next(Renderer().paginate("\n\n".join(texts)))


def test_a_text_page_fills_what_the_model_takes_and_is_drawn_sharp() -> None:
    page = page_of(*("Some words that fill a line or two of the page with ink, and then some more." * 6 for _ in range(30)))
    seen = see_page(page, Renderer(), QWEN)
    assert seen is not None and seen.image.mode == "RGB"
    width, height = seen.image.size
    assert width % 28 == height % 28 == 0 and 0.85 * QWEN.pixels < width * height <= QWEN.pixels
    assert seen.size == seen.cut.size  # not resized
    assert width - seen.size[0] < 28 and height - seen.size[1] < 28 + 8


def test_margins_and_blank_bands_go_and_come_back() -> None:
    picture = np.full((1000, 600), 250, dtype=np.uint8)
    picture[200:240, 100:400] = 10
    picture[800:820, 150:350] = 30
    cut = find_ink(picture)
    assert cut is not None
    part = cut.of(picture)
    assert part.shape[::-1] == cut.size and cut.size[1] < 200 and 300 < cut.size[0] < 330
    assert (part < 100).sum() == (picture < 100).sum()
    assert np.array_equal(cut.back(part, 600, 1000) == 10, picture == 10)
    assert find_ink(np.full((50, 50), 128, dtype=np.uint8)) is None


@given(st.integers(2, 60), st.integers(2, 60), st.integers(0, 2**32), st.floats(0, 0.2))
def test_no_ink_is_lost(width: int, height: int, seed: int, share: float) -> None:
    draw = np.random.default_rng(seed)
    picture = np.where(draw.random((height, width)) < share, 0, 255).astype(np.uint8)
    ink = picture == (0 if (picture == 255).sum() >= (picture == 0).sum() else 255)
    cut = find_ink(picture)
    if cut is None:
        assert not ink.any() or ink.all()
        return
    assert cut.of(ink).sum() == ink.sum()  # type: ignore[arg-type]
    assert np.array_equal(cut.back(cut.of(ink), width, height), ink)  # type: ignore[arg-type]
    tops = [row for band in cut.bands for row in band]
    assert tops == sorted(tops) and tops[0] >= 0 and tops[-1] <= height and 0 <= cut.left < cut.right <= width


def test_a_pdf_page_is_drawn_at_the_resolution_of_its_ink(pdf_page: Page) -> None:
    renderer = Renderer()
    seen, whole = see_page(pdf_page, renderer, QWEN), see_page(pdf_page, renderer, QWEN, trim=False)
    assert seen is not None and whole is not None
    assert seen.whole.width > 1.5 * whole.whole.width  # wide margins: drawn larger, then cut
    assert seen.image.width * seen.image.height <= QWEN.pixels
    assert see_page(pdf_page, renderer, QWEN._replace(pixels=28 * 28), trim=True) is not None


@pytest.fixture
def pdf_page() -> Page:
    """A page with a square in its middle."""

    return next(Renderer().paginate(open_document(pages_pdf([b"200 300 200 200 re f"]))))


def test_a_blank_pdf_page_is_nothing() -> None:

    (page,) = Renderer().paginate(open_document(pages_pdf([b""])))
    assert see_page(page, Renderer(), QWEN) is None
    assert see_page(page, Renderer(), QWEN, trim=False) is not None


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (30_000, 30), (30, 30_000), (30_000, 3_000)])
def test_extreme_pictures_are_shown_within_bounds(size: tuple[int, int]) -> None:
    picture = Image.new("L", size, "white")
    picture.putpixel((0, 0), 0)
    for kind in (QWEN, PictureSize(1, 0, 896), PictureSize(1, 0, 2048)):
        seen = see_image(picture, kind)
        if seen is not None:
            assert seen.image.width * seen.image.height <= 2048 * 2048
            assert kind.grid == 1 or seen.image.width * seen.image.height <= kind.pixels


def test_pictures_that_cannot_be_are_refused() -> None:
    with pytest.raises(PictureSizeError, match="30000 x 30000"):
        see_image(SimpleNamespace(width=30_000, height=30_000), QWEN)  # type: ignore[arg-type]
    data = BytesIO()
    Image.effect_noise((300, 300), 90).save(data, "PNG")
    with pytest.raises(DocumentError, match="cannot be decoded"):
        see_image(Image.open(BytesIO(data.getvalue()[:2000])), QWEN)


def test_transparent_paper_is_white_and_photographs_stand_upright(tmp_path: Path) -> None:
    drawing = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    drawing.paste((10, 10, 10, 255), (100, 100, 200, 120))
    seen = see_image(drawing, QWEN)
    assert seen is not None and seen.whole.getpixel((0, 0)) == 255
    lying = Image.new("L", (80, 40), "white")
    lying.paste(0, (5, 5, 75, 15))
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.save(tmp_path / "photo.jpg", exif=exif)
    seen = see_image(Image.open(tmp_path / "photo.jpg"), QWEN)
    assert seen is not None and seen.whole.size == (40, 80)


def test_pages_of_one_look_are_on_one_grid(visual_embedder: Callable[[str], Any]) -> None:
    """A page drawn for the model and the same page as a picture get as many vectors."""
    embedder, renderer = visual_embedder("colqwen2"), Renderer()
    page = page_of(*("words that fill the page " * 40 for _ in range(6)))
    assert embedder.embed_pages([page])[0].shape == embedder.embed_images([renderer.draw(page)])[0].shape


# -- colours ------------------------------------------------------------------------------------------------------------


def chart(first: tuple[int, int, int], second: tuple[int, int, int]) -> Image.Image:
    """Two bars on white; what they mean is told by their colours alone."""
    picture = Image.new("RGB", (300, 300), "white")
    picture.paste(first, (40, 100, 100, 260))
    picture.paste(second, (180, 100, 240, 260))
    return picture


RED, GREEN = (214, 39, 40), (30, 120, 31)  # of about the same grey


def test_colours_of_a_file_are_shown_and_text_is_grey(tmp_path: Path) -> None:
    picture = chart(RED, GREEN)
    assert np.ptp(np.asarray(picture.convert("L"))[200, [60, 200]].astype(int)) < 10
    picture.save(tmp_path / "chart.png")
    red_square = b"1 0 0 rg 200 300 200 200 re f"
    for data, pixel in ((open_document(tmp_path / "chart.png"), RED), (open_document(pages_pdf([red_square])), (255, 0, 0))):
        (page,) = Renderer().paginate(data)
        for size in (QWEN, PictureSize(1, 0, 896)):
            seen = see_page(page, Renderer(), size)
            assert seen is not None and seen.whole.mode == seen.image.mode == "RGB"
            colors = {color for _, color in seen.image.getcolors(1 << 24)}
            assert any(max(abs(a - b) for a, b in zip(color, pixel, strict=True)) < 8 for color in colors)
    for shown in (see_page(page_of("words"), Renderer(), QWEN), see_image(picture.convert("L").convert("RGB"), QWEN)):
        assert shown is not None and shown.whole.mode == "L"
    shown = see_image(picture, QWEN)
    assert shown is not None and shown.whole.mode == "RGB"


def test_pale_ink_of_another_colour_is_ink() -> None:
    """Yellow on white is nearly white in grey."""
    page = np.full((400, 400, 3), 255, dtype=np.uint8)
    page[100:120, 100:300] = (255, 255, 0)
    cut = find_ink(page)
    assert cut is not None and cut.size[1] < 60 and (cut.of(page) == page[100, 100]).all(axis=2).sum() == 20 * 200
    assert find_ink(page.astype(float).mean(axis=2).astype(np.uint8)[90:99]) is None


@pytest.mark.parametrize("family", ["colqwen2", "colpali"])
def test_pages_that_differ_in_colour_alone_differ(family: str, visual_embedder: Callable[[str], Any]) -> None:
    one, other = visual_embedder(family).embed_images([chart(RED, GREEN), chart(GREEN, RED)])
    grey, again = visual_embedder(family).embed_images([chart(RED, GREEN).convert("L"), chart(GREEN, RED).convert("L")])
    assert 1 - (one * other).sum(axis=1).min() > 10 * (1 - (grey * again).sum(axis=1).min())
