"""Pages by sight: every architecture loads from a checkpoint, embeds, and finds a page by its own picture."""

from __future__ import annotations

import http.server
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from serving import serving
from visual_checkpoints import ADAPTERS, LATE, SAVED, SINGLE

from glyph_integrations import Page, PageIndex, PageStyle, Renderer, VisualEmbedder, open_document
from glyph_integrations.accelerator import out_of_memory
from glyph_integrations.embedding import Embedder
from glyph_integrations.embedding.batches import Batches
from glyph_integrations.embedding.encoders import THREADS, _Copies
from glyph_integrations.embedding.picture_size import PictureSize
from glyph_integrations.embedding.self_test import canary
from glyph_integrations.errors import IndexMismatchError, ModelError, QueryError
from glyph_integrations.rendering.rasterize_file import find_file, picture_pixels

pytest.importorskip("sentence_transformers")
Load = Callable[[str], VisualEmbedder]
FAMILIES = (*LATE, "colqwen3", SINGLE)
ALL = (*LATE, *SAVED, *ADAPTERS, SINGLE)
SMALL = PageStyle(width=280, height=280, margin_x=4, margin_y=4, font_size=18, line_height=20)


def words(seed: int, count: int) -> str:
    draw = np.random.default_rng(seed)
    return " ".join("".join(draw.choice([*"aeiounrstlmdk"], draw.integers(2, 9))) for _ in range(count))


def small_pages(count: int) -> list[Page]:
    """Pages of some 40 words each, every one another document."""
    renderer = Renderer(SMALL)
    return [next(renderer.paginate(words(seed, 60), f"{seed}.txt")) for seed in range(count)]


@pytest.mark.parametrize("family", ALL)
def test_every_architecture_embeds_pages_questions_and_pictures(family: str, visual_embedder: Load) -> None:
    embedder = visual_embedder(family)
    assert isinstance(embedder, Embedder)
    assert embedder.late == (family != SINGLE) and embedder.dim == (128 if embedder.late else 64)
    pages = small_pages(3)
    for vectors in (*embedder.embed_pages(pages), embedder.embed_query("What was paid?"), embedder.embed_query(canvas())):
        assert vectors.dtype == np.float32 and vectors.shape[1] == embedder.dim
        assert (len(vectors) > 10) == embedder.late and (embedder.late or len(vectors) == 1)
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_picture_of_a_page_finds_the_page_among_others(family: str, visual_embedder: Load) -> None:
    embedder, renderer, pages = visual_embedder(family), Renderer(), small_pages(30)
    with PageIndex.open(embedder=embedder) as index:
        ids = index.add(pages)
        for number in (0, 17, 29):
            hits = index.search(embedder.embed_query(renderer.draw(pages[number])), 3)
            assert hits[0].page.id == ids[number]
            assert hits[0].relevance > hits[1].relevance
        assert len(index.search("what does it say", 5, mode="dense")) == 5


@pytest.mark.slow
@pytest.mark.parametrize("family", ALL)
def test_a_picture_finds_its_page_among_500(family: str, visual_embedder: Load) -> None:
    embedder, renderer, pages = visual_embedder(family), Renderer(), small_pages(500)
    asked = range(0, 500, 25)
    with PageIndex.open(embedder=embedder) as index:
        index.add(pages)

        def found(query: Image.Image) -> str:
            return index.search(embedder.embed_query(query), 1)[0].page.source

        assert [found(renderer.draw(pages[number])) for number in asked] == [f"{number}.txt" for number in asked]
        if family in (*LATE, *SAVED):  # one vector, or an adapter of noise, says too little of what compression changes
            right = [found(jpeg(renderer.draw(pages[number]))) == f"{number}.txt" for number in asked]
            assert sum(right) >= 0.85 * len(right)


def jpeg(picture: Image.Image) -> Image.Image:
    data = BytesIO()
    picture.save(data, "JPEG", quality=60)
    return Image.open(data)


def test_native_and_sentence_transformers_vectors_agree(visual_embedder: Load, visual_checkpoint: Any) -> None:
    """The library's own class for ColPali and ColQwen2 gives the same numbers for the same picture and question."""
    from sentence_transformers import MultiVectorEncoder

    for family in ("colpali", "colqwen2"):
        embedder = visual_embedder(family)
        other = MultiVectorEncoder(str(visual_checkpoint(family)), device="cpu")
        seen = embedder.see(small_pages(1)[0])
        assert seen is not None
        assert np.allclose(embedder.encode_seen(seen).vectors, other.encode_document([seen.image], convert_to_numpy=True)[0])
        assert np.allclose(embedder.embed_query("Who paid?"), other.encode_query(["Who paid?"], convert_to_numpy=True)[0])
        assert isinstance(VisualEmbedder(other).embed_query("Who paid?"), np.ndarray)


def test_a_question_keeps_its_augmentation_tokens(visual_embedder: Load) -> None:
    """ColModernVBERT's ten, which sentence-transformers leaves out."""
    asked = visual_embedder("colmodernvbert").encode_question("Who paid?")
    assert asked.tokens is not None and len(asked.tokens) == len(asked.vectors)
    assert (asked.tokens == np.bincount(asked.tokens).argmax()).sum() == 10


@pytest.mark.parametrize("family", [*LATE, "colqwen3"])
def test_the_vectors_of_a_pages_text_are_the_same_beside_any_other_page(family: str, visual_checkpoint: Any) -> None:
    embedder = VisualEmbedder(visual_checkpoint(family), device="cpu", text=True)
    pages = [*small_pages(2), next(Renderer(SMALL).paginate("a word", "short.txt"))]
    together = embedder.embed_pages(pages)
    for page, vectors in zip(pages, together, strict=True):
        assert np.allclose(embedder.embed_pages([page])[0], vectors, atol=1e-4)


def test_a_picture_that_is_given_twice_is_embedded_once(visual_embedder: Load) -> None:
    file = BytesIO()
    Image.effect_noise((3000, 2000), 80).save(file, "PNG")
    once = visual_embedder("colpali").embed_images([Image.open(file)])[0]
    picture, other = Image.open(file), canvas()
    found = visual_embedder("colpali").embed_images([picture, other] + [picture] * 7)  # not yet decoded
    assert len(found) == 9 and not np.allclose(found[0], found[1])
    assert all(np.array_equal(vectors, once) for vectors in (found[0], *found[2:]))


def test_no_more_copies_of_a_processor_are_made_than_threads_can_use() -> None:
    made: list[int] = []

    def another(thing: int) -> int:
        made.append(thing)
        time.sleep(0.02)  # as large tokenizers take
        return thing

    copies = _Copies(1, another)

    def use() -> None:
        with copies.one() as thing:
            assert thing == 1

    threads = [threading.Thread(target=use) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) <= THREADS


def test_tiny_pictures_fill_a_batch_as_large_as_the_model_makes_them() -> None:
    for size, most in ((PictureSize(1, 0, 2048), 1), (PictureSize(1, 0, 896), 9), (PictureSize(28, 768 * 784, 0), 488)):
        batches = Batches("some model", [], 8_000_000, size.area)
        cut = list(batches._cut([Image.new("RGB", (128, 128))] * 500))
        assert max(map(len, cut)) == most and sum(map(len, cut)) == 500
    page = PictureSize(1, 0, 2048)
    assert page.area(2048, 1448) == 2048 * 1448 and page.area(2048, 2) == 2048 * 512


def test_batches_and_devices_change_nothing(visual_checkpoint: Any, visual_embedder: Load) -> None:
    pages = [*small_pages(5), *Renderer(PageStyle(width=300, height=120)).paginate(words(1, 200))]
    expected = visual_embedder("colqwen2").embed_pages(pages)
    reports: list[tuple[int, int]] = []
    for options in ({"batch_pixels": 1}, {"device": ["cpu", "cpu"], "batch_pixels": 100_000}):
        reports.clear()
        embedder = VisualEmbedder(
            visual_checkpoint("colqwen2"), progress=lambda done, count: reports.append((done, count)), **options
        )
        reports.clear()
        found = embedder.embed_pages(pages)
        assert all(np.allclose(a, b, atol=1e-4) for a, b in zip(found, expected, strict=True))
        assert reports[-1] == (len(pages), len(pages)) and [done for done, _ in reports] == sorted(done for done, _ in reports)


def test_what_changes_vectors_is_another_index(visual_checkpoint: Any, visual_embedder: Load, tmp_path: Path) -> None:
    folder = visual_checkpoint("colpali")
    plain = visual_embedder("colpali")
    PageIndex.open(tmp_path / "index", plain).close()
    PageIndex.open(tmp_path / "index", VisualEmbedder(folder, device="cpu", batch_pixels=1)).close()
    for options in ({"pool": 2}, {"trim": False}, {"text": True}):
        other = VisualEmbedder(folder, device="cpu", **options)
        assert other.name == plain.name and other.revision != plain.revision
        with pytest.raises(IndexMismatchError):
            PageIndex.open(tmp_path / "index", other)


@pytest.mark.parametrize("family", ["colqwen2", "colmodernvbert", SINGLE])
def test_an_index_made_in_one_dtype_is_asked_in_another(family: str, visual_checkpoint: Any, tmp_path: Path) -> None:
    folder, pages = visual_checkpoint(family), small_pages(2)
    with PageIndex.open(tmp_path / "index", VisualEmbedder(folder, device="cpu", dtype="bfloat16")) as index:
        index.add(pages)
    for dtype in ("float32", "float16"):
        with PageIndex.open(tmp_path / "index", VisualEmbedder(folder, device="cpu", dtype=dtype)) as index:
            assert len(index) == 2


def test_other_weights_are_another_revision(visual_checkpoint: Any, tmp_path: Path) -> None:
    import torch

    before = VisualEmbedder(visual_checkpoint("colpali"), device="cpu")
    model = before._encoder.model
    torch.manual_seed(1)
    for weights in model.parameters():  # as a little training does
        weights.data += 0.02 * weights.data.std() * torch.randn(weights.shape)
    model.save_pretrained(tmp_path)
    before.processor.save_pretrained(tmp_path)
    assert VisualEmbedder(tmp_path, device="cpu").revision != before.revision


@pytest.mark.parametrize("family", FAMILIES)
def test_half_precision_sees_nearly_the_same(family: str, visual_checkpoint: Any, visual_embedder: Load) -> None:
    half = VisualEmbedder(visual_checkpoint(family), device="cpu", dtype="bfloat16")
    for embed in (lambda embedder: embedder.embed_pages(small_pages(1))[0], lambda embedder: embedder.embed_query("Who paid?")):
        a, b = embed(half), embed(visual_embedder(family))
        assert a.dtype == np.float32 and (a * b).sum(axis=1).mean() > 0.97


@pytest.mark.parametrize("family", ["colpali", "colqwen2", "colmodernvbert", "colqwen3"])
def test_pooling_keeps_a_part_of_the_vectors_and_the_page_is_still_found(family: str, visual_checkpoint: Any) -> None:
    embedder = VisualEmbedder(visual_checkpoint(family), device="cpu", pool=3)
    pages, renderer = small_pages(20), Renderer()
    whole = len(embedder.encode_seen(embedder.see(pages[0])).vectors)  # type: ignore[arg-type]
    with PageIndex.open(embedder=embedder) as index:
        ids = index.add(pages)
        assert len(index.vectors(ids[:1])[0]) == whole // 3
        assert all(index.search(embedder.embed_query(renderer.draw(pages[n])), 1)[0].page.id == ids[n] for n in range(0, 20, 4))


@pytest.mark.parametrize("family", ["colpali", "colmodernvbert", "colqwen3", SINGLE])
def test_a_pages_text_can_join_its_picture(family: str, visual_checkpoint: Any, visual_embedder: Load) -> None:
    pages = [*small_pages(2), *Renderer().paginate(words(3, 900))]
    both = VisualEmbedder(visual_checkpoint(family), device="cpu", text=True).embed_pages(pages)
    for page, alone, joined in zip(pages, visual_embedder(family).embed_pages(pages), both, strict=True):
        assert len(joined) > len(alone) and np.allclose(joined[: len(alone)], alone, atol=1e-5), page.source
    assert not any(np.allclose(a[-1], b[-1]) for a, b in pairwise(both))


def test_a_page_with_nothing_on_it_has_no_vectors(visual_embedder: Load) -> None:
    embedder, pages = visual_embedder("colpali"), small_pages(2)
    blank = Page(" \n", SMALL.replace(newline="keep"), ())
    assert [len(v) > 0 for v in embedder.embed_pages([blank, *pages, blank, blank])] == [False, True, True, False, False]
    assert [v.shape for v in embedder.embed_pages([blank])] == [(0, 128)] and embedder.embed_pages([]) == []
    with pytest.raises(QueryError, match="nothing on the picture"):
        embedder.embed_query(Image.new("L", (1, 1), "white"))


def canvas(width: int = 200, height: int = 260, mode: str = "L") -> Image.Image:
    values = np.full((height, width), 255, dtype=np.uint8)
    values[height // 4 : height // 2, width // 5 : max(width // 2, width // 5 + 1)] = 0
    return Image.fromarray(values).convert(mode)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(("width", "height"), [(1, 3), (3, 1), (30_000, 20), (7, 9_000)])
def test_pictures_of_odd_shapes_are_embedded(family: str, width: int, height: int, visual_embedder: Load) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width), dtype=np.uint8))
    (vectors,) = visual_embedder(family).embed_images([picture])
    assert len(vectors) and np.isfinite(vectors).all()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16"])
def test_pictures_of_every_mode_look_the_same(mode: str, visual_embedder: Load) -> None:
    picture = canvas()
    if mode == "I;16":
        other = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
        assert other.mode == mode
    else:
        other = picture.convert(mode)
    embedder = visual_embedder("colqwen2")
    a, b = embedder.embed_images([picture, other])
    assert (a * b).sum(axis=1).mean() > 0.97


def test_files_of_every_kind_are_pages_and_found_by_sight(visual_embedder: Load, tmp_path: Path) -> None:
    """Scans: a TIFF of two pages, a CMYK JPEG, a 16-bit PNG; none has text."""
    shapes = [canary(seed) for seed in range(4)]
    shapes[0].convert("1").save(tmp_path / "fax.tif", save_all=True, append_images=[shapes[1].convert("1")])
    shapes[2].convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    Image.fromarray(np.asarray(shapes[3].convert("L")).astype(np.uint16) * 257).save(tmp_path / "scan.png")
    embedder, renderer = visual_embedder("colqwen2"), Renderer()
    files = ("fax.tif", "print.jpg", "scan.png")
    pages = [page for name in files for page in renderer.paginate(open_document(tmp_path / name))]
    assert [page.text.strip() for page in pages] == [""] * 4
    with PageIndex.open(embedder=embedder) as index:
        ids = index.add(pages)
        found = [index.search(embedder.embed_query(shape), 1)[0].page.id for shape in shapes]
    assert found == ids


@pytest.fixture(scope="module")
def corpus(corpora: Path) -> list[Page]:
    """All pages of all PDFs: textbook, papers, court opinion, office export. None is blank, no two look the same."""
    renderer = Renderer()
    return [page for file in sorted((corpora / "pdfs").glob("*.pdf")) for page in renderer.paginate(open_document(file))]


def found_by_their_pictures(embedder: Any, pages: list[Page], pictures: Iterable[Image.Image]) -> list[tuple[str, int]]:
    """Of pages that are not the first answer to their picture: source and number."""
    with PageIndex.open(embedder=embedder) as index:
        ids = index.add(pages)
        return [
            (page.source, page.number)
            for page, page_id, picture in zip(pages, ids, pictures, strict=True)
            if index.search(embedder.embed_query(picture), 1)[0].page.id != page_id
        ]


@pytest.mark.slow
@pytest.mark.parametrize("family", ["colpali", "colqwen2", "colmodernvbert", SINGLE])
def test_every_page_of_every_pdf_is_found_by_its_own_picture(
    family: str, visual_embedder: Load, corpus: list[Page], record_property: Callable[[str, object], None]
) -> None:
    embedder = visual_embedder(family)
    seen = [embedder.see(page) for page in corpus]
    assert all(seen)
    wrong = found_by_their_pictures(embedder, corpus, (one.whole for one in seen if one))
    record_property("found", f"{len(corpus) - len(wrong)} of {len(corpus)}")
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize("family", ["colqwen2", SINGLE])
def test_nearly_every_page_is_found_by_a_picture_of_another_resolution(
    family: str, visual_embedder: Load, corpus: list[Page]
) -> None:
    """Random weights tell pages apart by little; trained ones by more."""
    pictures = (picture_of(page, 100) for page in corpus)
    wrong = found_by_their_pictures(visual_embedder(family), corpus, pictures)
    assert len(wrong) <= 0.1 * len(corpus), wrong


@pytest.mark.slow
def test_nearly_every_page_is_found_with_a_model_on_a_server(corpus: list[Page]) -> None:
    pytest.importorskip("openai")
    from pooling_server import pooling_server

    from glyph_integrations import RemoteVisualEmbedder

    with pooling_server() as server:
        embedder = RemoteVisualEmbedder("some/col-model", server.url, page_pixels=100_000)
        wrong = found_by_their_pictures(embedder, corpus, (picture_of(page, 200) for page in corpus))
    assert len(wrong) <= 0.1 * len(corpus), wrong  # it sees 64 greys of a page


def picture_of(page: Page, dpi: int) -> Image.Image:
    """As a screenshot shows it, in colour."""
    assert page.picture is not None
    return Image.fromarray(picture_pixels(page, page.picture, find_file(page.picture, None), dpi, color=True))


# -- trouble on the way -------------------------------------------------------------------------------------------------


@pytest.fixture
def colpali(visual_checkpoint: Any) -> VisualEmbedder:
    """One of its own, to be harmed."""
    return VisualEmbedder(visual_checkpoint("colpali"), device="cpu")


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_lack_of_memory_is_told_from_other_errors(error: Exception, short: bool) -> None:
    assert out_of_memory(error) == short


def hungry(embedder: VisualEmbedder, limit: int, error: type[Exception] = RuntimeError) -> None:
    """Let memory run out above so many pictures at a time."""
    inner = embedder._encoder.model.forward

    def forward(**inputs: Any) -> Any:
        if len(inputs["input_ids"]) > limit:
            raise error("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes")
        return inner(**inputs)

    embedder._encoder.model.forward = forward


@pytest.mark.slow
@pytest.mark.parametrize("error", [RuntimeError, MemoryError])
def test_out_of_memory_makes_batches_smaller_and_goes_on(
    error: type[Exception], colpali: VisualEmbedder, visual_embedder: Load, caplog: pytest.LogCaptureFixture
) -> None:
    pages = small_pages(7)
    hungry(colpali, 2, error)
    before = colpali.batch_pixels
    with caplog.at_level(logging.WARNING):
        found = colpali.embed_pages(pages)
    expected = visual_embedder("colpali").embed_pages(pages)
    assert all(np.allclose(a, b, atol=1e-4) for a, b in zip(found, expected, strict=True))
    assert "ran out of memory with 7 pages" in caplog.text and colpali.batch_pixels < before
    caplog.clear()
    colpali.embed_pages(pages)
    assert "out of memory" not in caplog.text  # the smaller batch is kept


def test_out_of_memory_with_the_text_of_pages_takes_fewer_at_a_time(
    visual_checkpoint: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = VisualEmbedder(visual_checkpoint("colpali"), device="cpu", text=True)
    pages = small_pages(3)
    expected = embedder.embed_pages(pages)
    inner = embedder._encoder.texts

    def hungry(texts: Sequence[str]) -> Any:
        if len(texts) > 1:
            raise MemoryError
        return inner(texts)

    monkeypatch.setattr(embedder._encoder, "texts", hungry)
    with caplog.at_level(logging.WARNING):
        found = embedder.embed_pages(pages)
    assert all(np.allclose(a, b, atol=1e-4) for a, b in zip(found, expected, strict=True))
    assert "ran out of memory with 3 texts at a time" in caplog.text


@pytest.mark.slow
def test_memory_that_is_short_for_one_page_is_an_error_that_says_so(colpali: VisualEmbedder) -> None:
    hungry(colpali, 0)
    with pytest.raises(ModelError, match=r"out of memory with one picture of .* lower page_pixels"):
        colpali.embed_pages(small_pages(2))


def test_a_failing_model_is_named(colpali: VisualEmbedder) -> None:
    def broken(**inputs: Any) -> Any:
        raise IndexError("index out of range in self")

    colpali._encoder.model.forward = broken
    with pytest.raises(ModelError, match=r"colpali-tiny failed on 2 pictures .*index out of range"):
        colpali.embed_pages(small_pages(2))
    with pytest.raises(ModelError, match="colpali-tiny failed on a question"):
        colpali.embed_query("Who?")


def test_interruption_ends_soon_and_what_was_added_stays(colpali: VisualEmbedder, tmp_path: Path) -> None:
    pages = small_pages(12)
    with PageIndex.open(tmp_path / "index", colpali) as index:
        index.add(pages[:4])

        def interrupt(done: int, count: int) -> None:
            raise KeyboardInterrupt

        colpali._progress = interrupt
        with pytest.raises(KeyboardInterrupt):
            index.add(pages)
        colpali._progress = None
        assert len(index) == 4
        assert len(index.add(pages)) == len(index) == 12
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("glyph-visual")]


def test_threads_may_embed_and_search_at_once(visual_embedder: Load) -> None:
    embedder, pages = visual_embedder("colqwen2"), small_pages(6)
    expected = embedder.embed_pages(pages), embedder.embed_query("Who paid?")
    wrong: list[str] = []

    def work() -> None:
        for _ in range(3):
            pages_now, query_now = embedder.embed_pages(pages), embedder.embed_query("Who paid?")
            if not all(np.allclose(a, b, atol=1e-4) for a, b in zip(pages_now, expected[0], strict=True)):
                wrong.append("pages")
            if not np.allclose(query_now, expected[1], atol=1e-4):
                wrong.append("query")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.fixture
def web() -> Iterator[tuple[str, list[str]]]:
    """A web server, and the paths it was asked for."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *args: Any) -> None:
            pass

    with serving(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked


@pytest.mark.parametrize("family", ["colqwen3", SINGLE, "colpali"])
def test_addresses_and_paths_in_text_are_text(
    family: str, visual_checkpoint: Any, web: tuple[str, list[str]], tmp_path: Path
) -> None:
    url, asked = web
    canvas().save(tmp_path / "photo.png")
    embedder = VisualEmbedder(visual_checkpoint(family), device="cpu", text=True)
    for text in (f"{url}/photo.png", str(tmp_path / "photo.png"), "data:image/png;base64,AAAA"):
        assert len(embedder.embed_query(text)) < 120
        embedder.embed_pages([next(Renderer(SMALL).paginate(text))])
    assert not asked


@pytest.mark.parametrize("family", [*LATE, "colsmol", SINGLE])
def test_control_tokens_in_text_are_text(family: str, visual_checkpoint: Any) -> None:
    embedder = VisualEmbedder(visual_checkpoint(family), device="cpu", text=True)
    tokenizer = embedder.processor.tokenizer
    control = [token for token in ("<image>", "<|image_pad|>") if token in tokenizer.get_vocab()] + [tokenizer.pad_token]
    assert len(control) >= 2
    text = f"Where does {' or '.join(control)} stand? Half a pair: \ud800"
    asked, plain = embedder.encode_question(text), embedder.encode_question("Where does it stand?")
    assert np.isfinite(asked.vectors).all()
    if asked.tokens is not None and plain.tokens is not None:
        image = tokenizer.convert_tokens_to_ids(control[0])
        assert image not in asked.tokens
        pad = tokenizer.pad_token_id
        assert (asked.tokens == pad).sum() == (plain.tokens == pad).sum()  # no more than stand around any question
    pages = [next(Renderer(PageStyle()).paginate(f"The token {token} stands for a picture.")) for token in control]
    assert all(len(vectors) for vectors in embedder.embed_pages(pages))
