"""What a model is sent of a conversation: a transcriber one picture, and one of the instructions it was trained on."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cache

from ...errors import ModelError
from ...vision import ChatForm
from ..delivery import as_sent
from ..placement import Gate
from ..turns import PagePart, PicturePart, TextPart, Turn, question_of

_log = logging.getLogger("glyph_integrations")


def turns_for(turns: Sequence[Turn], gate: Gate, model: str) -> list[Turn]:
    """The turns as this model takes them: a conversation with images in user turns, or what a transcriber is asked.

    Raises:
        ModelError: see `transcription`.
    """
    form = gate.vision.chat if gate.vision else None
    return transcription(turns, form, model) if form and form.transcriber else as_sent(turns, gate)


def transcription(turns: Sequence[Turn], form: ChatForm, model: str) -> list[Turn]:
    """The turns for a model that only writes down what a picture shows: the picture, then its usual instruction, or another
    that it knows if that is the last user turn's text. Any other text is dropped; a warning says so, once.

    Raises:
        ModelError: there is no picture, or more than one.
    """
    pictures = [part for turn in turns for part in turn.parts if isinstance(part, PagePart | PicturePart)]
    if len(pictures) != 1:
        raise ModelError(
            f"{model} writes down one picture at a time, and answers no questions; it was sent {len(pictures)} pictures. "
            "Send one page in each call, or ask a model that answers questions"
        )
    asked = question_of(turns)
    if asked not in form.instructions:
        if asked:
            _say_once(model)
        asked = form.instructions[0]
    return [Turn("user", [pictures[0], TextPart(asked)])]


@cache
def _say_once(model: str) -> None:
    _log.warning("%s only writes down what a picture shows: questions and other text are not sent to it", model)
