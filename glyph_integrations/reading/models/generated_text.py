"""Tokens as a model makes them -> the text of an answer: whole characters, reasoning split off, cut at stop strings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ...vision import ChatForm
from .thinking import ThinkingSplitter, overlap

_LONGEST_CHARACTER = 8  # tokens; held back no longer, so that bytes which are no text do not pile up


def silent_tokens(tokenizer: Any, form: ChatForm) -> frozenset[int]:
    """The special tokens of a tokenizer, without the marks that `ThinkingSplitter` has to see."""
    special = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    marks = [*(form.thinking or ()), *(form.wrapping or ()), *form.marks]
    return frozenset((special | {*tokenizer.all_special_ids}) - token_ids(tokenizer, marks))


def token_ids(tokenizer: Any, tokens: Iterable[str]) -> set[int]:
    """The ids of those of the tokens that the tokenizer has."""
    found = tokenizer.convert_tokens_to_ids([*tokens])
    return {token for token in found if token is not None and token != tokenizer.unk_token_id}


class TokenText:
    """The text of tokens that come one by one. Special tokens have none; bytes of an unfinished character are held back.

    Args:
        tokenizer: of transformers.
        silent: tokens that have no text; see `silent_tokens`.
    """

    def __init__(self, tokenizer: Any, silent: Collection[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._silent = silent
        self._tokens: list[int] = []
        self._start = self._read = 0  # text of tokens before `read` is out; from `start` on they are decoded together with new

    def feed(self, token: int) -> str:
        """The text that this token completes."""
        if token in self._silent:
            return ""
        self._tokens.append(token)
        return self._take(force=len(self._tokens) - self._read >= _LONGEST_CHARACTER)

    def finish(self) -> str:
        """The text of tokens still held back."""
        return self._take(force=True)

    def _take(self, *, force: bool) -> str:
        known = len(self._decode(self._tokens[self._start : self._read]))
        text = self._decode(self._tokens[self._start :])
        if len(text) <= known or (text.endswith("\ufffd") and not force):
            return ""
        self._start, self._read = self._read, len(self._tokens)
        return text[known:]

    def _decode(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return text


class StopStrings:
    """Cuts a text that arrives piece by piece before one of some strings: the first to be complete, however the pieces fall.
    ``reached`` says whether one came."""

    def __init__(self, strings: Sequence[str]) -> None:
        self._strings = tuple(s for s in strings if s)
        self._held = ""
        self.reached = False

    def feed(self, text: str) -> str:
        """What can be said; the end that may begin a stop string is held back."""
        if self.reached:
            return ""
        self._held += text
        found = [(at + len(s), at) for s in self._strings if (at := self._held.find(s)) >= 0]
        if found:
            self.reached = True
            said, self._held = self._held[: min(found)[1]], ""
            return said
        keep = overlap(self._held, self._strings)
        said, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return said

    def finish(self) -> str:
        """What was held back."""
        said, self._held = self._held, ""
        return said


class GeneratedText:
    """One answer in the making.

    Attributes:
        tokens: how many the model has made, the one that ended the answer included.
        stop_reason: ``stop`` or ``length`` once the answer has ended, else empty.
        text, reasoning: what has been said.
    """

    def __init__(
        self, tokens: TokenText, form: ChatForm, ends: Collection[int], max_tokens: int, stop: Sequence[str], opened: bool
    ) -> None:
        self._tokens = tokens
        self._thinking = ThinkingSplitter(form, opened=opened)
        self._stop = StopStrings(stop)
        self._ends = ends
        self._max_tokens = max_tokens
        self.tokens = 0
        self.stop_reason = ""
        self.text = self.reasoning = ""

    def feed(self, token: int) -> tuple[str, str]:
        """Take the next token; new reasoning and new text of the answer. Stop strings are looked for in the answer only."""
        self.tokens += 1
        if token in self._ends:
            self.stop_reason = "stop"
            return self._finish()
        said = self._say(*self._thinking.feed(self._tokens.feed(token)))
        if self._stop.reached:
            self.stop_reason = "stop"
        elif self.tokens >= self._max_tokens:
            self.stop_reason = "length"
            rest = self._finish()
            said = said[0] + rest[0], said[1] + rest[1]
        return said

    def _finish(self) -> tuple[str, str]:
        reasoning, text = self._thinking.feed(self._tokens.finish())
        more_reasoning, more_text = self._thinking.finish()
        said = self._say(reasoning + more_reasoning, text + more_text)
        last = self._stop.finish()
        self.text += last
        return said[0], said[1] + last

    def _say(self, reasoning: str, text: str) -> tuple[str, str]:
        text = self._stop.feed(text)
        self.reasoning += reasoning
        self.text += text
        return reasoning, text
