"""A question and retrieved pages -> turns; turns -> an answer; an answer -> citations."""

from .citations import Citation, verify_answer
from .context import ContextBuilder
from .models import Answer, AnswerChunk, ExtractiveModel, OpenAIModel, PageModel, Usage
from .placement import Candidate, ContextReport, Gate, Placement
from .prompt import Prompt
from .registry import REGISTRY, PageSource, PageStore, Registry
from .tags import PageTag, page_tag, split_tags
from .turns import OpaquePart, PagePart, Part, PicturePart, Role, TextPart, ToolCall, Turn, question_of

__all__ = [
    "REGISTRY", "Answer", "AnswerChunk", "Candidate", "Citation", "ContextBuilder", "ContextReport", "ExtractiveModel", "Gate",
    "OpaquePart", "OpenAIModel", "PageModel", "PagePart", "PageSource", "PageStore", "PageTag", "Part", "PicturePart",
    "Placement", "Prompt", "Registry", "Role", "TextPart", "ToolCall", "Turn", "Usage", "page_tag", "question_of",
    "split_tags", "verify_answer",
]  # fmt: skip
