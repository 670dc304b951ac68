"""`PageImagePostprocessor`: the picture of a page on its node."""

from __future__ import annotations

import base64
import logging
from typing import Any

from llama_index.core.base.llms.types import BaseContentBlock, ImageBlock, TextBlock
from llama_index.core.bridge.pydantic import Field, field_serializer
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import ImageNode, MetadataMode, NodeWithScore, QueryBundle

from ..reading import REGISTRY, PagePart, Placement
from ..reading.placement import Candidate, Gate
from ..vision import VisionProfile
from .page_nodes import pages_in

_log = logging.getLogger("glyph_integrations")


class PageImagePostprocessor(BaseNodePostprocessor):
    """Puts the picture of each page on its retrieved node, for query engines with ``multimodal=True`` and any vision LLM.

    A page whose text costs the model no more than its picture stays as it is, and so does a node that holds no page.
    LlamaIndex takes every image for 2,125 tokens, and where it believes the context full it makes further calls or, in mode
    ``simple_summarize``, drops what is left. These pictures state what they really cost, and a drop is logged as a warning.

    Attributes:
        vision: the model that will see them: a `VisionProfile` or the model's name.
        dpi: resolution; None: the page style's own, or the one recommended for the model if that is higher.
        renderer: draws them; default ``Renderer()``.

    Raises:
        UnknownModelError: ``vision`` names no known profile.
    """

    vision: Any = Field(description="A VisionProfile or the model's name.")
    dpi: int | None = Field(default=None, description="Resolution of the pictures.")
    renderer: Any = Field(default=None, exclude=True, description="Draws the pictures; default Renderer().")

    def __init__(self, vision: VisionProfile | str, **kwargs: Any) -> None:
        super().__init__(**{"vision": vision, **kwargs})
        VisionProfile.get(vision)

    @field_serializer("vision")
    def _vision_name(self, vision: Any) -> Any:
        return vision.name if isinstance(vision, VisionProfile) else vision

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised form."""
        return "PageImagePostprocessor"

    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        gate = Gate(self.vision, self.renderer, self.dpi)
        pages = pages_in(n.node for n in nodes)
        placements = {p.page.id: p for p in gate.place([Candidate(page) for page in pages if page])}
        return [
            self._with_picture(scored, gate, placements[page.id]) if page and placements[page.id].sent_as == "image" else scored
            for scored, page in zip(nodes, pages, strict=True)
        ]

    @staticmethod
    def _with_picture(scored: NodeWithScore, gate: Gate, placement: Placement) -> NodeWithScore:
        png = gate.png(PagePart(placement.page, placement.dpi))
        REGISTRY.register_png(png, placement.page)
        fields = {name: getattr(scored.node, name) for name in ImageNode.model_fields if hasattr(scored.node, name)}
        node = PageImageNode(
            **{**fields, "image": base64.b64encode(png).decode("ascii"), "image_mimetype": "image/png"},
            label=placement.label, tokens=placement.tokens,
        )  # fmt: skip
        return NodeWithScore(node=node, score=scored.score)


class PageImageNode(ImageNode):
    """A page node with its picture. It lives from retrieval to the answer; stores give back a plain node."""

    label: str = ""
    tokens: int = 0

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised form."""
        return "PageImageNode"

    def get_content_blocks(self, metadata_mode: MetadataMode = MetadataMode.NONE) -> list[BaseContentBlock]:
        """The picture, then what page it is. The caption counts nothing (the picture's cost includes it), so that it goes into
        the call that what stands before it goes into."""
        data = base64.b64decode(self.image or "")
        picture = PageImageBlock(image=data, image_mimetype="image/png", label=self.label, tokens=self.tokens)
        return [picture, CaptionBlock(text=f"(The picture above is {self.label}.)")]


class PageImageBlock(ImageBlock):
    """An image that knows what it costs."""

    label: str = ""
    tokens: int = 0

    async def aestimate_tokens(self, *args: Any, **kwargs: Any) -> int:
        """Tokens of the image and its caption."""
        return self.tokens

    async def atruncate(self, max_tokens: int, tokenizer: Any = None, reverse: bool = False) -> BaseContentBlock:  # type: ignore[override]
        """An image cannot be cut. Where there is no room for it LlamaIndex drops it and all that follows: this says so."""
        if self.tokens <= max_tokens:
            return self
        _log.warning(
            "%s and what follows it are left out, since LlamaIndex takes the context window for full: retrieve fewer pages, "
            "tell the LLM its real context_window, or use GlyphSynthesizer", self.label,
        )  # fmt: skip
        return CaptionBlock(text=f"({self.label} and what follows it are left out.)")


class CaptionBlock(TextBlock):
    """A text whose cost is counted elsewhere."""

    async def aestimate_tokens(self, *args: Any, **kwargs: Any) -> int:
        """Nothing."""
        return 0
