"""What can read turns: a local model, an OpenAI-compatible server, OCR that quotes what it reads, or quotations alone."""

from .answer import Answer, AnswerChunk, Usage
from .extractive import ExtractiveModel
from .ocr import OcrModel
from .openai import OpenAIModel
from .page_model import PageModel
from .transformers import TransformersModel

__all__ = ["Answer", "AnswerChunk", "ExtractiveModel", "OcrModel", "OpenAIModel", "PageModel", "TransformersModel", "Usage"]
