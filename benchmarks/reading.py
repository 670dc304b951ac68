"""Is what is sent legible, and is the answer exact? A server that sees only the pixels of the pages answers by OCR.

    python benchmarks/reading.py [questions] [strings] [--cache FOLDER] [--corpora FOLDER]       # default: both

questions  20 questions of four public sets in English and Chinese: the pages found by the index, drawn, sent to the server on
           loopback through an OpenAI client, a LangChain chain and a LlamaIndex query engine, and read there. ``right``: the
           answer holds one of the reference answers; ``offered``: or the repaired words of a citation do; ``as text``: the same
           sentences chosen from the text of the same pages, which is what could be right if every pixel were read right.
strings    40 random UUIDs, hashes and part numbers planted in a novel and asked for: share of answers that hold the string
           exactly, with and without the sidecar of exact strings, and with the repaired words of citations (``offered``).
           ``as an image``: the page that holds it was sent as one, and not as text.

Pages hold at most twelve lines, since an engine takes a third of a second for each; the questions are every n-th of a set among
those whose answer stands in the text. With ``--cache`` readings are kept by the hash of their pixels, so that a run that was
stopped goes on where it was. Needs the extras ``ocr``, ``openai``, ``langchain``, ``llama-index`` and the adapters
``langchain-openai`` and ``llama-index-llms-openai-like``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # the server is the tests' own

from ocr_server import OcrServer, ocr_server

from glyph_integrations import (
    Citation,
    ContextBuilder,
    ExtractiveModel,
    OcrModel,
    OpenAIModel,
    PageHit,
    PageIndex,
    PageStyle,
    Renderer,
    count_text_tokens,
    verify_answer,
)

CORPORA = Path(os.environ.get("GLYPH_CORPORA", Path(__file__).resolve().parents[2] / "shared" / "corpora"))
MODEL = "zai-org/Glyph"
STYLES = {"en": PageStyle().replace(height=140), "zh": PageStyle.preset("cjk-72").replace(height=164)}  # twelve lines
SETS = {"fairytaleqa_val": "en", "xquad12_en": "en", "cmrc2018_trial": "zh", "xquad12_zh": "zh"}
EACH = 5  # questions of a set
PAGES = 3  # pages found for a question


class Question(NamedTuple):
    """A question of a set and what counts as right."""

    text: str
    answers: list[str]


class Reply(NamedTuple):
    """An answer, and the citations it was given."""

    text: str
    citations: list[Citation]

    def holds(self, answers: Iterable[str], *, repaired: bool = False) -> bool:
        shown = [self.text, *(c.repaired or "" for c in self.citations if repaired)]
        return any(plain(answer) in plain(text) for answer in answers for text in shown)


Ask = Callable[[str], Reply]


def plain(text: str) -> str:
    """A text as answers are compared: without case, white space, punctuation and kinds of width."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]


def sample(corpora: Path, name: str) -> tuple[dict[str, str], list[Question]]:
    """The documents of a set, and every n-th of its questions whose answer stands where it says."""
    texts = {row["doc_id"]: row["text"] for row in lines_of(corpora / f"{name}.docs.jsonl")}
    rows = [
        row
        for row in lines_of(corpora / f"{name}.queries.jsonl")
        if any(answer in texts[row["doc_id"]][start:end] for answer in row["answers"] for start, end in row["gold"])
    ]
    step = len(rows) // EACH
    return texts, [Question(row["question"], row["answers"]) for row in rows[step // 2 :: step][:EACH]]


# -- ways to ask --------------------------------------------------------------------------------------------------------------


def ask_directly(server: OcrServer, index: PageIndex, k: int, **settings: Any) -> Ask:
    model, builder = OpenAIModel(MODEL, server.url), ContextBuilder(MODEL, **settings)

    def ask(question: str) -> Reply:
        turns, report = builder.build(question, index.search(question, k=k))
        text = model.read(turns).text
        return Reply(text, verify_answer(text, report.pages))

    return ask


def ask_langchain(server: OcrServer, index: PageIndex, k: int) -> Ask:
    from langchain_core.prompts import ChatPromptTemplate
    from langchain_core.runnables import RunnablePassthrough
    from langchain_openai import ChatOpenAI
    from pydantic import SecretStr

    from glyph_integrations.langchain import ChatGlyph, GlyphVectorStore, citations_of

    llm = ChatGlyph(llm=ChatOpenAI(model=MODEL, base_url=server.url, api_key=SecretStr("none"), timeout=600))
    found = GlyphVectorStore(index=index).as_retriever(k=k) | (lambda documents: "\n".join(d.page_content for d in documents))
    prompt = ChatPromptTemplate.from_messages([("system", "Answer from these pages:\n{context}"), ("human", "{question}")])
    chain = {"context": found, "question": RunnablePassthrough()} | prompt | llm

    def ask(question: str) -> Reply:
        answer = chain.invoke(question)
        return Reply(answer.text, citations_of(answer))

    return ask


def ask_llama_index(server: OcrServer, index: PageIndex, k: int) -> Ask:
    from llama_index.core import VectorStoreIndex
    from llama_index.core.query_engine import RetrieverQueryEngine
    from llama_index.llms.openai_like import OpenAILike

    from glyph_integrations.llama_index import GlyphSynthesizer, GlyphVectorStore, citations_of

    llm = OpenAILike(
        model=MODEL, api_base=server.url, api_key="none", is_chat_model=True, context_window=131_072, timeout=600.0
    )  # fmt: skip
    store = GlyphVectorStore(index)
    retriever = VectorStoreIndex.from_vector_store(store, embed_model=store.embed_model).as_retriever(similarity_top_k=k)
    engine = RetrieverQueryEngine(retriever, response_synthesizer=GlyphSynthesizer(llm=llm))

    def ask(question: str) -> Reply:
        response = engine.query(question)
        return Reply(str(response), citations_of(response))

    return ask


def as_text(hits: list[PageHit], question: str) -> Reply:
    """What the same choice of sentences makes of the text of the same pages."""
    turns, _ = ContextBuilder(None).build(question, hits)
    return Reply(ExtractiveModel().read(turns).text, [])


# -- questions ----------------------------------------------------------------------------------------------------------------


def questions(server: OcrServer, corpora: Path) -> None:
    ways = {"OpenAI client": ask_directly, "LangChain": ask_langchain, "LlamaIndex": ask_llama_index}
    right: dict[tuple[str, str], int] = {}
    sent = dict.fromkeys(SETS, 0)
    images = dict.fromkeys(SETS, 0)
    replaced = dict.fromkeys(SETS, 0)

    def count(way: str, name: str, yes: bool) -> None:
        right[way, name] = right.get((way, name), 0) + yes

    for name, language in SETS.items():
        texts, chosen = sample(corpora, name)
        renderer = Renderer(STYLES[language])
        with PageIndex.open() as index:
            for source, text in texts.items():
                index.add(renderer.paginate(text, source=source))
            ask = {way: make(server, index, PAGES) for way, make in ways.items()}
            for number, question in enumerate(chosen, 1):
                began = time.perf_counter()
                hits = index.search(question.text, k=PAGES)
                _, report = ContextBuilder(MODEL).build(question.text, hits)
                sent[name] += report.tokens
                images[name] += len(report.images)
                replaced[name] += ContextBuilder(None).build(question.text, hits)[1].tokens
                verdicts = []
                for way in ways:
                    reply = ask[way](question.text)
                    count(way, name, reply.holds(question.answers))
                    count(f"{way}, offered", name, reply.holds(question.answers, repaired=True))
                    verdicts.append(f"{way} {'right' if reply.holds(question.answers) else 'wrong'}")
                text_reply = as_text(hits, question.text)
                count("as text", name, text_reply.holds(question.answers))
                count("page found", name, any(answer in hit.page.text for hit in hits for answer in question.answers))
                seconds = time.perf_counter() - began
                print(
                    f"  {name} {number}/{len(chosen)} {seconds:5.0f} s: {', '.join(verdicts)}; {question.text[:70]}", flush=True
                )
    header = "".join(f"{name:>18}" for name in SETS)
    print(f"\nRight answers of {EACH} each{'':9}{header}{'all':>8}")
    for way in ("page found", "as text", *(f"{way}{end}" for way in ways for end in ("", ", offered"))):
        cells = [right[way, name] for name in SETS]
        print(f"{way:32}{''.join(f'{cell:>18}' for cell in cells)}{sum(cells):>8}")
    print(
        f"{f'images among {EACH * PAGES} pages each':32}{''.join(f'{n:>18}' for n in images.values())}{sum(images.values()):>8}"
    )
    print(f"{'tokens sent':32}{''.join(f'{sent[name]:>18,}' for name in SETS)}{sum(sent.values()):>8,}")
    print(f"{'tokens of the pages as text':32}{''.join(f'{replaced[name]:>18,}' for name in SETS)}{sum(replaced.values()):>8,}")
    ratios = "".join(f"{replaced[name] / sent[name]:>17.2f}x" for name in SETS)
    print(f"{'as text : sent':32}{ratios}{sum(replaced.values()) / sum(sent.values()):>7.2f}x")
    print(f"text tokens by {count_text_tokens('a').method}", flush=True)


# -- exact strings ------------------------------------------------------------------------------------------------------------

THINGS = (
    "barometer", "sea chest", "music box", "lantern", "inkstand", "rocking chair", "spinning wheel", "writing desk", "quilt",
    "telescope", "chandelier", "umbrella", "violin", "weathercock", "hourglass", "snuffbox", "candlestick", "tapestry",
    "teapot", "typewriter", "globe", "sextant", "harmonium", "mirror", "cradle", "wardrobe", "anvil", "bagpipe", "compass",
    "decanter", "easel", "footstool", "grandfather clock", "hammock", "jewel case", "kettle", "mandolin", "opera glass",
    "pocket watch", "sundial",
)  # fmt: skip


class Planted(NamedTuple):
    """A string and the thing whose number it is."""

    kind: str
    thing: str
    string: str


def plant(text: str, seed: int = 5) -> tuple[str, list[Planted]]:
    """A novel with 40 receipts between its paragraphs, evenly spread."""
    dice = random.Random(seed)

    def hexadecimal(count: int) -> str:
        return "".join(dice.choice("0123456789abcdef") for _ in range(count))

    def part_number() -> str:
        letters = "".join(dice.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(3))
        return f"{letters}-{dice.randrange(10_000):04}-{dice.choice('ABCDEF')}{dice.randrange(100):02}"

    makers: dict[str, Callable[[], str]] = {
        "UUID": lambda: "-".join(map(hexadecimal, (8, 4, 4, 4, 12))),
        "hash": lambda: hexadecimal(40),
        "part number": part_number,
    }
    kinds = [kind for kind, number in (("UUID", 14), ("hash", 13), ("part number", 13)) for _ in range(number)]
    dice.shuffle(kinds)
    planted = [Planted(kind, thing, makers[kind]()) for kind, thing in zip(kinds, THINGS, strict=True)]
    paragraphs = text.split("\n\n")
    for number, item in reversed(list(enumerate(planted))):
        at = (2 * number + 1) * len(paragraphs) // (2 * len(planted))
        paragraphs[at] += f" The receipt for the {item.thing} bears the number {item.string}, and was paid in full."
    return "\n\n".join(paragraphs), planted


def strings(server: OcrServer, corpora: Path) -> None:
    text, planted = plant((corpora / "texts" / "call_of_the_wild.txt").read_text(encoding="utf-8"))
    with PageIndex.open() as index:
        index.add(Renderer(STYLES["en"]).paginate(text, source="call_of_the_wild.txt"))
        for title, settings in (("the best page at 96 dpi, which is the default", {}), ("all pages at 72 dpi", {"dpi": 72})):
            exactly(server, index, planted, title, settings)


def exactly(server: OcrServer, index: PageIndex, planted: list[Planted], title: str, settings: dict[str, Any]) -> None:
    """Ask for every planted string, and print a table."""
    columns = ("page found", "as an image", "pixels alone", "pixels, offered", "sidecar", "sidecar, offered")
    found: dict[tuple[str, str], int] = {}
    builder = ContextBuilder(MODEL, **settings)
    ways = {
        "pixels": ask_directly(server, index, 2, sidecar=0, **settings),
        "sidecar": ask_directly(server, index, 2, **settings),
    }
    for number, item in enumerate(planted, 1):
        began = time.perf_counter()
        question = f"Which number does the receipt for the {item.thing} bear?"
        report = builder.build(question, index.search(question, k=2))[1]
        verdict = {
            "page found": any(item.string in page.text for page in report.pages),
            "as an image": any(item.string in placement.page.text for placement in report.images),
        }
        for way, ask in ways.items():
            reply = ask(question)
            verdict["pixels alone" if way == "pixels" else way] = item.string in reply.text
            offered = [reply.text, *(c.repaired or "" for c in reply.citations)]
            verdict[f"{way}, offered"] = any(item.string in shown for shown in offered)
        for column in columns:
            found[item.kind, column] = found.get((item.kind, column), 0) + verdict[column]
        missing = ", ".join(column for column in columns if not verdict[column])
        seconds = time.perf_counter() - began
        print(f"  {number}/{len(planted)} {seconds:5.0f} s: {item.string} {'not ' + missing if missing else 'all'}", flush=True)
    print(f"\nStrings answered exactly, {title}\n{'':28}{'asked':>8}{''.join(f'{column:>18}' for column in columns)}")
    kinds = [*dict.fromkeys(item.kind for item in planted)]
    for kind in kinds:
        asked = sum(item.kind == kind for item in planted)
        print(f"{kind:28}{asked:>8}{''.join(f'{found[kind, column]:>18}' for column in columns)}")
    totals = [sum(found[kind, column] for kind in kinds) for column in columns]
    print(f"{'all':28}{len(planted):>8}{''.join(f'{total:>18}' for total in totals)}")
    print(f"{'share':36}{''.join(f'{100 * total / len(planted):>17.0f}%' for total in totals)}\n", flush=True)


TABLES = {"questions": questions, "strings": strings}


@contextmanager
def running(cache: Path | None) -> Iterator[OcrServer]:
    with ocr_server(OcrModel(cache=cache)) as server:
        print(f"read by {server.model.name}, standing in for {MODEL}; pages of twelve lines", flush=True)
        yield server


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=" or ".join(TABLES))
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--corpora", type=Path, default=CORPORA)
    arguments = parser.parse_args()
    if unknown := {*arguments.tables} - {*TABLES}:
        parser.error(f"unknown table {', '.join(unknown)}; known: {', '.join(TABLES)}")
    if not arguments.corpora.is_dir():
        sys.exit(f"{arguments.corpora} is not there; name the folder of corpora, or set GLYPH_CORPORA")
    with running(arguments.cache) as server:
        for name in arguments.tables or TABLES:
            print(f"\n{name}", flush=True)
            TABLES[name](server, arguments.corpora)


if __name__ == "__main__":
    main()
