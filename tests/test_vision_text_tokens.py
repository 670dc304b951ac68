"""Text tokens: counted by a real tokenizer where there is one, honestly estimated where not."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from glyph_integrations.errors import ModelError
from glyph_integrations.vision import count_text_tokens


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A small byte-level tokenizer that truncates, as many published files do."""
    tokenizers = pytest.importorskip("tokenizers", reason="real tokenizers need the package tokenizers")
    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=["<s>"], show_progress=False
    )
    model.train_from_iterator(["the long page of the long book"] * 3, trainer)
    model.post_processor = tokenizers.processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    model.enable_truncation(max_length=4)
    return model


@pytest.fixture
def saved(tokenizer: Any, tmp_path: Path) -> Path:
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    return tmp_path


def test_a_tokenizer_object_counts_all_tokens_and_none_that_it_adds(tokenizer: Any) -> None:
    counted = count_text_tokens(" the long page of the long book" * 50, tokenizer)
    assert counted.exact
    assert counted.count == 50 * count_text_tokens(" the long page of the long book", tokenizer).count > 300
    assert tokenizer.truncation["max_length"] == 4  # the caller's object is left as it was


def test_files_folders_and_objects_count_alike(tokenizer: Any, saved: Path) -> None:
    text = "A page, and another page."
    expected = count_text_tokens(text, tokenizer).count
    for where in (saved, str(saved), saved / "tokenizer.json", str(saved / "tokenizer.json")):
        counted = count_text_tokens(text, where)
        assert (counted.count, counted.exact) == (expected, True)
        assert str(where) in counted.method


def test_a_transformers_tokenizer_counts_without_special_tokens(tokenizer: Any) -> None:
    transformers = pytest.importorskip("transformers", reason="wraps the tokenizer in its transformers class")
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>")
    text = "the long page " * 20
    assert count_text_tokens(text, wrapped).count == count_text_tokens(text, tokenizer).count


def test_a_tiktoken_encoding_counts_text_that_looks_like_special_tokens() -> None:
    tiktoken = pytest.importorskip("tiktoken", reason="counts with an encoding of tiktoken")
    ranks = {bytes([byte]): byte for byte in range(256)}
    encoding = tiktoken.Encoding("bytes", pat_str=".+", mergeable_ranks=ranks, special_tokens={"<|end|>": 256})
    assert count_text_tokens("say <|end|>", encoding).count == len("say <|end|>")


def test_an_object_with_a_plain_encode_is_enough() -> None:
    class Words:
        def encode(self, text: str) -> list[str]:
            return text.split()

    counted = count_text_tokens("one two three", Words())
    assert (counted.count, counted.exact, counted.method) == (3, True, "tokenizer Words")


def test_a_name_that_is_not_on_this_machine_gives_an_estimate_that_says_so() -> None:
    for name in ("nobody/no-such-model", "not a name at all"):
        counted = count_text_tokens("some words", name)
        assert not counted.exact
        assert counted.count == count_text_tokens("some words").count
        assert name in counted.method
        assert "estimate" in counted.method


def test_a_path_without_a_tokenizer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        count_text_tokens("text", tmp_path)
    broken = tmp_path / "tokenizer.json"
    broken.write_text("{}", encoding="utf-8")
    with pytest.raises(ModelError, match=r"not a tokenizer\.json"):
        count_text_tokens("text", broken)


@given(st.text(max_size=200), st.text(max_size=200))
def test_estimates_are_positive_and_nearly_add_up(first: str, second: str) -> None:
    count = count_text_tokens(first + second).count
    assert (count > 0) == bool(first + second)
    assert abs(count - count_text_tokens(first).count - count_text_tokens(second).count) <= 4


def test_lone_surrogates_are_counted() -> None:
    assert count_text_tokens("\ud800 x").count > 0


# Tokens by the tokenizers of Qwen2.5 and of Mistral (Tekken 240911) for the same files.
@pytest.mark.parametrize(
    ("name", "qwen", "tekken"),
    [
        ("pride_and_prejudice.txt", 151_212, 152_325),
        ("call_of_the_wild.txt", 39_928, 40_402),
        ("pep-0008.rst", 11_774, 12_178),
        ("rust_book_ch01-09.md", 96_472, 97_847),
    ],
)
def test_estimates_of_prose_and_code_are_within_seven_percent_of_real_tokenizers(
    corpora: Path, name: str, qwen: int, tekken: int
) -> None:
    text = (corpora / "texts" / name).read_bytes().decode("utf-8")
    started = time.perf_counter()
    estimate = count_text_tokens(text)
    assert time.perf_counter() - started < 1
    assert not estimate.exact
    assert estimate.count == pytest.approx(qwen, rel=0.07)
    assert estimate.count == pytest.approx(tekken, rel=0.07)


def test_estimates_of_chinese_lie_between_what_tokenizers_differ_by(corpora: Path) -> None:
    text = (corpora / "texts" / "xiyouji_ch1-20.txt").read_bytes().decode("utf-8")
    assert 0.6 * 161_992 < count_text_tokens(text).count < 161_992
    assert count_text_tokens(text).count == pytest.approx(125_370, rel=0.2)
