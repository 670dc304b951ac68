"""What can read turns: an OpenAI-compatible server, or an extractive model that quotes."""

from .answer import Answer, AnswerChunk, Usage
from .extractive import ExtractiveModel
from .openai import OpenAIModel
from .page_model import PageModel

__all__ = ["Answer", "AnswerChunk", "ExtractiveModel", "OpenAIModel", "PageModel", "Usage"]
