"""Image files as pages: frames, orientation, colours, and what becomes of bad ones."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glyph_integrations import ContextBuilder, Page, Renderer, VisionProfile, open_document
from glyph_integrations.errors import DocumentError
from glyph_integrations.sources.page_file import OPENED

FORMATS = {
    "PNG": "image/png", "JPEG": "image/jpeg", "TIFF": "image/tiff", "WEBP": "image/webp", "GIF": "image/gif",
    "BMP": "image/bmp",
}  # fmt: skip
ORIENTATION = 0x0112


@pytest.fixture(autouse=True)
def nothing_open() -> Iterator[None]:
    yield
    OPENED.clear()


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer()


def arrow(width: int = 120, height: int = 80) -> Image.Image:
    """Light, with a dark upper left quarter: every turn of it looks different."""
    pixels = np.full((height, width), 240, np.uint8)
    pixels[: height // 2, : width // 2] = 20
    return Image.fromarray(pixels)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pages_of(renderer: Renderer, data: bytes, name: str = "a") -> list[Page]:
    return list(renderer.paginate(open_document(data, name=name)))


def only(renderer: Renderer, data: bytes) -> np.ndarray[Any, Any]:
    [page] = pages_of(renderer, data)
    return renderer.pixels(page).astype(int)


@pytest.mark.parametrize("kind", FORMATS)
def test_every_kind_is_known_by_its_bytes_and_drawn(kind: str, renderer: Renderer) -> None:
    document = open_document(saved(arrow().convert("RGB"), kind), name="scan.txt")
    assert (document.media_type, document.text, len(document.pages)) == (FORMATS[kind], "", 1)
    [page] = renderer.paginate(document)
    assert (page.text, page.number, page.source, renderer.size(page)) == ("", 1, "scan.txt", (120, 80))
    pixels = renderer.pixels(page).astype(int)
    assert abs(pixels[5:35, 5:55] - 20).max() < 12 and abs(pixels[45:, 65:] - 240).max() < 12
    again = Page.from_metadata("", page.to_metadata())
    assert again == page and (renderer.pixels(again) == pixels).all()


def test_frames_of_a_tiff_are_pages(renderer: Renderer) -> None:
    frames = [arrow(), arrow(60, 90).transpose(Image.Transpose.FLIP_LEFT_RIGHT), arrow(50, 50)]
    pages = pages_of(renderer, saved(frames[0], "TIFF", save_all=True, append_images=frames[1:], compression="tiff_lzw"))
    assert [(page.number, page.text) for page in pages] == [(1, "\f"), (2, "\f"), (3, "")]
    assert len({page.id for page in pages}) == 3
    for page, frame in zip(pages, frames, strict=True):
        assert (renderer.pixels(page) == np.asarray(frame)).all()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_an_animation_is_one_page(kind: str, renderer: Renderer) -> None:
    frames = [arrow(), arrow().transpose(Image.Transpose.ROTATE_180)]
    pages = pages_of(renderer, saved(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert len(pages) == 1 and abs(renderer.pixels(pages[0])[5:35, 5:55].astype(int) - 20).max() < 12


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "TIFF", "PNG", "WEBP"])
def test_pictures_stand_upright(kind: str, turn: int, renderer: Renderer) -> None:
    to = Image.Transpose
    back = {
        2: to.FLIP_LEFT_RIGHT, 3: to.ROTATE_180, 4: to.FLIP_TOP_BOTTOM, 5: to.TRANSPOSE, 6: to.ROTATE_90, 7: to.TRANSVERSE,
        8: to.ROTATE_270,
    }  # fmt: skip
    image = arrow().transpose(back[turn]) if turn > 1 else arrow()
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    pixels = only(renderer, saved(image.convert("RGB"), kind, exif=exif))
    assert pixels.shape == (80, 120) and abs(pixels - np.asarray(arrow())).mean() < 4


def test_turned_frames_of_a_tiff_stand_upright(renderer: Renderer) -> None:
    lying = arrow().transpose(Image.Transpose.ROTATE_90)
    tags = {ORIENTATION: 6}
    data = saved(lying, "TIFF", save_all=True, append_images=[lying], tiffinfo=tags)
    pages = pages_of(renderer, data)
    assert renderer.size(pages[0]) == (120, 80) and (renderer.pixels(pages[0]) == np.asarray(arrow())).all()


def test_colours_of_every_mode_become_the_right_grey(renderer: Renderer) -> None:
    ramp = np.tile(np.linspace(0, 255, 64).round().astype(np.uint8), (8, 1))
    grey = Image.fromarray(ramp)
    cases = {
        "L": saved(grey, "PNG"),
        "RGB": saved(grey.convert("RGB"), "PNG"),
        "P": saved(grey.convert("RGB").quantize(64), "PNG"),
        "CMYK": saved(grey.convert("CMYK"), "TIFF"),
        "CMYK JPEG": saved(grey.convert("CMYK"), "JPEG", quality=98),
        "16 bits, PNG": saved(Image.fromarray(ramp.astype(np.uint16) * 257), "PNG"),
        "12 bits in 16, TIFF": saved(Image.fromarray((ramp.astype(np.float64) * (4095 / 255)).astype(np.uint16)), "TIFF"),
        "16 bits, TIFF": saved(Image.fromarray(ramp.astype(np.uint16) * 257), "TIFF"),
        "32 bits": saved(Image.fromarray(ramp.astype(np.int32) * 257), "TIFF"),
        "floats": saved(Image.fromarray(ramp.astype(np.float32) / 255), "TIFF"),
        "LA": saved(grey.convert("LA"), "PNG"),
        "YCbCr": saved(grey.convert("YCbCr"), "TIFF"),
    }
    for name, data in cases.items():
        assert abs(only(renderer, data) - ramp).max() <= 6, name
    half = Image.fromarray(np.where(ramp < 128, 0, 255).astype(np.uint8)).convert("1")
    assert set(np.unique(only(renderer, saved(half, "PNG")))) == {0, 255}
    for compression in ("group4", "tiff_lzw"):
        assert (only(renderer, saved(half, "TIFF", compression=compression)) == np.where(ramp < 128, 0, 255)).all()


@pytest.mark.parametrize("dark", [False, True])
def test_transparent_parts_are_paper(dark: bool) -> None:
    image = Image.new("RGBA", (40, 20), (255, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 10, 20))
    image.paste((0, 0, 0, 128), (10, 0, 20, 20))
    renderer = Renderer(Renderer().style.replace(color=255, background=0) if dark else None)
    for data in (saved(image, "PNG"), saved(image, "WEBP", lossless=True)):
        row = only(renderer, data)[10]
        assert row[5] == 0 and abs(row[15] - 127) <= 1 and row[30] == 255
    index = Image.new("P", (10, 10), 3)
    index.putpalette([0] * 768)
    assert (only(renderer, saved(index, "GIF", transparency=3)) == 255).all()


def test_wide_pictures_are_as_wide_as_the_style_and_never_wider_than_they_are(renderer: Renderer) -> None:
    [wide] = pages_of(renderer, saved(arrow(2352, 3360), "PNG"))
    assert renderer.size(wide) == (588, 840) and renderer.size(wide, dpi=96) == (784, 1120)
    [small] = pages_of(renderer, saved(arrow(50, 3000), "PNG"))
    assert renderer.size(small) == (50, 3000)
    grid = VisionProfile.get("glyph").grid
    padded = renderer.pixels(small, vision="glyph")
    assert padded.shape[1] % grid == 0 and padded.shape[0] % grid == 0 and (padded[:, 50:] == 255).all()
    [flat] = pages_of(renderer, saved(Image.new("L", (20_000, 1)), "PNG"))
    assert renderer.size(flat) == (588, 1)


def test_a_picture_goes_into_a_prompt_as_a_picture(renderer: Renderer) -> None:
    [page] = pages_of(renderer, saved(arrow(600, 600), "PNG"), "chart.png")
    turns, report = ContextBuilder("glyph").build("What does it show?", [page])
    assert turns[0].pages == (page,) and report.placements[0].tokens > 400
    [strip] = pages_of(renderer, saved(Image.new("L", (50, 29_000)), "PNG"))
    placement = ContextBuilder("qwen2.5-vl").build("?", [strip])[1].placements[0]  # whose processor refuses such a shape
    assert placement.sent_as == "left out" and placement.reason.startswith("no text is known of it, and a picture of")


# -- bad files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_truncated_pictures_are_refused(kind: str, part: float) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8))
    data = saved(noise, kind)
    with pytest.raises(DocumentError, match=r"a\.x is a \w+ picture that cannot be read; it is truncated or damaged"):
        open_document(data[: int(part * len(data))], name="a.x")


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_truncated_frames_of_a_tiff_are_refused() -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (60, 80, 3), np.uint8))
    data = saved(noise, "TIFF", save_all=True, append_images=[noise, noise])
    for cut in (len(data) // 2, len(data) - 2000):
        with pytest.raises(DocumentError, match="truncated"):
            open_document(data[:cut], name="a.tif")


def png(width: int, height: int, depth: int = 1) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(bytes(min(10_000_000, height * (1 + width * depth // 8))), 9)
    head = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(30_000, 3_000), (60_000, 60_000), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bombs_are_refused_before_they_are_decoded(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("was decoded"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("was decoded"))
    for limit in (Image.MAX_IMAGE_PIXELS, None):  # Pillow's own limit may have been lifted
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(DocumentError, match="too large"):
            open_document(png(*size), name="a.png")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_no_damage_does_more_than_a_document_error() -> None:
    random = np.random.default_rng(7)
    for kind in FORMATS:
        data = saved(arrow(30, 20).convert("RGB"), kind)
        for _ in range(60):
            damaged = bytearray(data)
            for at in random.integers(0, len(data), 4):
                damaged[at] = random.integers(0, 256)
            try:
                document = open_document(bytes(damaged), FORMATS[kind])
                for page in Renderer().paginate(document):
                    Renderer().size(page)
            except DocumentError:
                continue
            assert document.pages


def test_what_is_no_picture_is_said() -> None:
    with pytest.raises(DocumentError, match="is not a PNG, JPEG, TIFF, WebP, GIF or BMP picture"):
        open_document(b"words", "image/png")


def test_a_picture_below_the_root_is_drawn_again(renderer: Renderer, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(saved(arrow(), "PNG"))
    [page] = renderer.paginate(open_document(tmp_path / "a.png"))
    pixels = renderer.pixels(page)
    OPENED.clear()
    again = Page.from_metadata("", page.to_metadata())
    with pytest.raises(DocumentError, match="not at hand"):
        renderer.draw(again)
    assert (Renderer(root=tmp_path).pixels(again) == pixels).all()
