"""A question and retrieved pages -> turns; turns -> an answer; an answer -> citations."""

from .citations import Citation, Continuation, verify_answer
from .context import ContextBuilder
from .cross_check import CrossCheck, cross_check
from .models import Answer, AnswerChunk, ExtractiveModel, OcrModel, OpenAIModel, PageModel, TransformersModel, Usage
from .placement import Candidate, Gate, Limits
from .prompt import Prompt
from .registry import REGISTRY, PageSource, PageStore, Registry
from .report import ContextReport, Placement
from .tags import PageTag, page_tag, split_tags
from .turns import OpaquePart, PagePart, Part, PicturePart, Role, TextPart, ToolCall, Turn, question_of
from .watcher import PageWatcher

__all__ = [
    "REGISTRY", "Answer", "AnswerChunk", "Candidate", "Citation", "ContextBuilder", "ContextReport", "Continuation",
    "CrossCheck", "ExtractiveModel", "Gate", "Limits", "OcrModel", "OpaquePart", "OpenAIModel", "PageModel", "PagePart",
    "PageSource", "PageStore", "PageTag", "PageWatcher", "Part", "PicturePart", "Placement", "Prompt", "Registry", "Role",
    "TextPart", "ToolCall", "TransformersModel", "Turn", "Usage", "cross_check", "page_tag", "question_of", "split_tags",
    "verify_answer",
]  # fmt: skip
