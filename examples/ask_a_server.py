"""The same question to a server, through the core, LangChain and LlamaIndex.

    python ask_a_server.py --base-url http://127.0.0.1:8000/v1 --model zai-org/Glyph

Without ``--base-url`` it starts a small server of its own, which reads the pixels it is sent with an OCR engine and answers by
quoting (extras ``ocr``, ``openai``). It shows what goes over the wire; it is no language model.
"""

from __future__ import annotations

import argparse
import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from llama_index.core.query_engine import RetrieverQueryEngine

from glyph_integrations import ContextBuilder, OcrModel, OpenAIModel, PageIndex, Renderer, verify_answer
from glyph_integrations.langchain import ChatGlyph, GlyphVectorStore, citations_of
from glyph_integrations.llama_index import GlyphLLM, GlyphRetriever, GlyphSynthesizer
from glyph_integrations.llama_index import citations_of as citations_in
from glyph_integrations.reading import PicturePart, TextPart, Turn

DIARY = """14 March. The harbour froze in the night, and the ferry did not sail.

15 March. Still frozen. The lighthouse keeper, Alasdair Mackinnon, walked across the ice for bread and lamp oil.

16 March. Thaw. The ferry sailed at noon with nineteen passengers and the post.
"""
QUESTION = "Who walked across the ice?"


class OcrHandler(BaseHTTPRequestHandler):
    """The chat protocol, as little of it as this needs."""

    model: OcrModel

    def log_message(self, *args: Any) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.model.read([self._turn(message) for message in request["messages"]])
        message = {"role": "assistant", "content": answer.text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        body = json.dumps({"id": "1", "object": "chat.completion", "created": 0, "model": "ocr", "choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _turn(self, message: dict[str, Any]) -> Turn:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        parts = [
            TextPart(block["text"])
            if block["type"] == "text"
            else PicturePart(base64.b64decode(block["image_url"]["url"].partition(",")[2]))
            for block in blocks
        ]
        return Turn(message["role"], parts)


parser = argparse.ArgumentParser(description="Ask a server about a page.")
parser.add_argument("--base-url")
parser.add_argument("--model", default="zai-org/Glyph")
args = parser.parse_args()
base_url = args.base_url
if base_url is None:
    OcrHandler.model = OcrModel(quotes=1)
    own = ThreadingHTTPServer(("127.0.0.1", 0), OcrHandler)
    threading.Thread(target=own.serve_forever, daemon=True).start()
    base_url = f"http://127.0.0.1:{own.server_address[1]}/v1"

index = PageIndex.open()
index.add(Renderer().paginate(DIARY, source="diary.txt"))

hits = index.search(QUESTION, k=1)
turns, report = ContextBuilder(args.model).build(QUESTION, hits)
answer = OpenAIModel(args.model, base_url).read(turns)
print(f"core: {answer.text}  {[str(c) for c in verify_answer(answer.text, [hit.page for hit in hits])]}")

documents = GlyphVectorStore(index=index).as_retriever(k=1).invoke(QUESTION)
message = ChatGlyph.from_server(base_url, args.model).invoke(f"{documents[0].page_content}\n\n{QUESTION}")
print(f"LangChain: {message.text}  {[str(c) for c in citations_of(message)]}")

synthesizer = GlyphSynthesizer(GlyphLLM.from_server(base_url, args.model))
response = RetrieverQueryEngine(GlyphRetriever(index, similarity_top_k=1), response_synthesizer=synthesizer).query(QUESTION)
print(f"LlamaIndex: {response}  {[str(c) for c in citations_in(response)]}")
