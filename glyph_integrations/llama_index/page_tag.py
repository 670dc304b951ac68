"""`PageTagPostprocessor`: pages that stay pages on their way through LlamaIndex's own prompts."""

from __future__ import annotations

from typing import Any

from llama_index.core.base.llms.types import BaseContentBlock, TextBlock
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle, TextNode

from ..reading import REGISTRY, page_tag
from .page_nodes import pages_in


class PageTagPostprocessor(BaseNodePostprocessor):
    """Has retrieved pages stand in prompts as page tags, which `GlyphLLM` sends as images: for chat engines and text
    synthesizers that know nothing of pages. Put it last, after rerankers.

    The node's text stays as it was; only what an LLM is given of it changes. A node that holds no page stays as it is. Where
    LlamaIndex believes the context window full and cuts a tag in two, both halves go as text: set the LLM's ``context_window``.
    """

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised form."""
        return "PageTagPostprocessor"

    def _postprocess_nodes(self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None) -> list[NodeWithScore]:
        pages = pages_in(n.node for n in nodes)
        REGISTRY.register(page for page in pages if page)
        return [
            NodeWithScore(node=_tagged(scored, page_tag(page)), score=scored.score) if page else scored
            for scored, page in zip(nodes, pages, strict=True)
        ]


class PageTagNode(TextNode):
    """A page node that an LLM is given as a page tag. It lives from retrieval to the answer; stores give back a plain node."""

    tag: str = ""

    @classmethod
    def class_name(cls) -> str:
        """Name in serialised form."""
        return "PageTagNode"

    def get_content(self, metadata_mode: MetadataMode = MetadataMode.NONE) -> str:
        """The tag for an LLM, the text for everybody else."""
        return self.tag if metadata_mode == MetadataMode.LLM else super().get_content(metadata_mode)

    def get_content_blocks(self, metadata_mode: MetadataMode = MetadataMode.NONE) -> list[BaseContentBlock]:
        """Likewise."""
        return [TextBlock(text=self.tag)] if metadata_mode == MetadataMode.LLM else super().get_content_blocks(metadata_mode)


def _tagged(scored: NodeWithScore, tag: str) -> PageTagNode:
    fields: dict[str, Any] = {name: getattr(scored.node, name) for name in TextNode.model_fields if hasattr(scored.node, name)}
    return PageTagNode(**fields, tag=tag)
