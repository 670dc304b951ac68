"""Addresses and what answers them."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from ..errors import GlyphError
from ..page import Page
from ..style import PageStyle
from ..vision import VisionProfile
from . import documents, form
from .conversation import Question, Shelf, ask
from .drawing import (
    document_values,
    indexed,
    lay_out,
    page_values,
    picture,
    preview,
    renderer_of,
    search_layout,
    specimen,
    top_of,
)
from .guard import MAX_JSON, cookie, same, session_cookie, token_cookie
from .knowledge import Knowledge
from .readers import Readers
from .session import FullError, Held, Layout, Session, SessionGoneError, Sessions
from .settings import Settings
from .summaries import summarize, summarizer_of
from .work import Event, Job, Work, Workers, message_of

Answering = Callable[[Request], Awaitable[ASGIApp]]

_PICTURE_DPI = (72, 96, 110, 144, 200)
_ID = re.compile(r"[0-9a-f]{32}")


class NotFoundError(GlyphError):
    """What was asked for is not here, or not any more."""


class Routes:
    """What the app answers.

    Args:
        settings: what it keeps to.
        static: the folder of the page itself.
    """

    def __init__(self, settings: Settings, static: Path) -> None:
        self.settings = settings
        self.static = static
        self.workers = Workers()
        self.sessions = Sessions(settings.max_sessions, settings.max_held)
        self.readers = Readers(settings)
        self.knowledge = Knowledge(settings.index) if settings.index is not None else None
        self.folder = documents.Folder(settings.root) if settings.root is not None else None

    def app(self) -> ASGIApp:
        """All of them as one ASGI app."""
        api = [
            ("/about", "GET", self.about), ("/enter", "POST", self.enter), ("/sample.png", "GET", self.sample_picture),
            ("/documents", "PUT", self.upload), ("/documents", "POST", self.add), ("/documents/{id}", "DELETE", self.remove),
            ("/files", "GET", self.files), ("/preview", "POST", self.preview), ("/pages", "GET", self.pages),
            ("/picture/{id}", "GET", self.picture), ("/text/{id}", "GET", self.text), ("/ask", "POST", self.ask),
            ("/conversation/{scope}", "DELETE", self.forget), ("/summary", "POST", self.summary),
            ("/knowledge", "GET", self.overview), ("/knowledge/sources", "GET", self.sources),
            ("/knowledge/pages", "GET", self.source_pages), ("/knowledge/search", "POST", self.search),
        ]  # fmt: skip
        routes = [Route(f"/api{path}", _said(answer), methods=[method]) for path, method, answer in api]
        page = [Route("/", self._index, methods=["GET"]), Mount("/static", StaticFiles(directory=self.static))]
        return Starlette(routes=[*page, *routes], lifespan=self._lifespan)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            self.workers.close()
            self.sessions.close()

    async def _index(self, _: Request) -> Response:
        return FileResponse(self.static / "index.html", headers={"Cache-Control": "no-cache"})

    # -- who is asking ----------------------------------------------------------------------------------------------------

    async def about(self, request: Request) -> ASGIApp:
        """What the page needs to know to begin; begins a session for a browser that has none."""
        new = False
        try:
            session = self._session(request)
        except SessionGoneError:
            session, new = self.sessions.new(), True
        settings = self.settings
        families = [
            {"name": v.name, "style": v.style, "window": v.context_window, "verified": v.verified}
            for v in VisionProfile.known()
        ]
        response = JSONResponse({
            "families": families, "presets": form.presets(), "numbers": form.NUMBERS, "choices": form.CHOICES,
            "readers": self.readers.offered(), "max_upload": settings.max_upload, "folder": self.folder is not None,
            "knowledge": await self.workers.quickly(self.knowledge.overview) if self.knowledge else None,
            "documents": [document_values(held) for held in session.documents],
            "talks": {
                scope: [{"question": e.question, **e.shown} for e in session.talk(scope)] for scope in ("documents", "index")
            },
        })  # fmt: skip
        if new:
            name = session_cookie(request.scope)
            response.set_cookie(name, session.id, httponly=True, samesite="strict", path="/")
        return response

    async def enter(self, request: Request) -> ASGIApp:
        """Take the token, and remember it in a cookie that scripts cannot read."""
        token = self.settings.token
        shown = form.string((await _json(request)).get("token", ""), "token", 500)
        if token is None:
            return JSONResponse({"ok": True})
        if not same(shown, token):
            return JSONResponse({"error": "that is not the token"}, 401)
        response = JSONResponse({"ok": True})
        name, value = token_cookie(request.scope), quote(token, safe="")  # a header holds no Chinese
        response.set_cookie(name, value, httponly=True, samesite="strict", path="/")
        return response

    def _session(self, request: Request) -> Session:
        return self.sessions.find(cookie(request.headers, session_cookie(request.scope)))

    def _stream(self, session: Session, work: Work) -> ASGIApp:
        """The events of work done for a session, which does not end meanwhile."""

        def working(job: Job) -> Iterator[Event]:
            with self.sessions.using(session):
                yield from work(job)

        return self.workers.stream(working)

    # -- documents --------------------------------------------------------------------------------------------------------

    async def upload(self, request: Request) -> ASGIApp:
        """A document in the body, its name and encoding in the address, its password (percent-encoded) in a header, which
        nobody logs."""
        session = self._session(request)
        name = form.string(request.query_params.get("name", ""), "name", 500)
        opening = _opening(unquote(request.headers.get("x-password", "")), request.query_params.get("encoding", ""))
        file = await documents.receive(request.stream(), self.settings.max_upload)
        take = partial(documents.take, sessions=self.sessions, session=session, name=name, file=file, opening=opening)
        return self._stream(session, take)

    async def add(self, request: Request) -> ASGIApp:
        """The sample, or a file of the folder."""
        session, values = self._session(request), await _json(request)
        if values.get("sample") is True:
            return self._stream(session, partial(documents.take_sample, sessions=self.sessions, session=session))
        if self.folder is None:
            raise form.FormError("no folder was chosen at the start, so no file can be opened by its name")
        name, limit = form.string(values.get("file"), "file", 1000), self.settings.max_upload
        opening = _opening(values.get("password", ""), values.get("encoding", ""))
        take = partial(self.folder.take, sessions=self.sessions, session=session, name=name, limit=limit, opening=opening)
        return self._stream(session, take)

    async def remove(self, request: Request) -> ASGIApp:
        """Forget a document."""
        self._session(request).remove(request.path_params["id"])
        return JSONResponse({"ok": True})

    async def files(self, request: Request) -> ASGIApp:
        """The names of the files in the folder."""
        return JSONResponse({"files": await self.workers.quickly(self.folder.names) if self.folder else []})

    async def sample_picture(self, request: Request) -> ASGIApp:
        """A page of the sample, for the first view, with what it costs."""

        data, values = await self.workers.quickly(specimen)
        numbers = json.dumps({key: values[key] for key in ("tokens", "text_tokens", "characters")})
        return Response(data, media_type="image/png", headers={"X-Page": numbers})

    # -- pages ------------------------------------------------------------------------------------------------------------

    async def preview(self, request: Request) -> ASGIApp:
        """The pages as they will be sent: the first ones, then the account of all."""
        session, values = self._session(request), await _json(request)
        style, vision = form.style_of(values.get("style")), form.family_of(values)
        chosen = session.chosen(form.ids_of(values))
        return self._stream(session, partial(preview, session=session, documents=chosen, style=style, vision=vision))

    async def pages(self, request: Request) -> ASGIApp:
        """More pages of a document as it was last laid out."""
        session, query = self._session(request), request.query_params
        first = form.whole(query.get("first", "0"), "first", 0, 1_000_000)
        count = form.whole(query.get("count", "12"), "count", 1, 50)
        vision = form.family_of(query)

        def values() -> list[dict[str, Any]]:
            found = session.pages_of(query.get("document", ""), first, count)
            return [page_values(page, vision, renderer_of(page.style)) for page in found]

        return JSONResponse({"pages": await self.workers.quickly(values)})

    def _page(self, request: Request, session: Session) -> Page:
        page_id = request.path_params["id"]
        page = session.page(page_id) if _ID.fullmatch(page_id) else None
        if page is None and self.knowledge is not None and _ID.fullmatch(page_id):
            page = self.knowledge.page(page_id)
        if page is None:
            raise NotFoundError("that page is not here any more; draw the pages again")
        return page

    async def picture(self, request: Request) -> ASGIApp:
        """A page as PNG: as it is sent to a family, or at a resolution, with stretches of its text marked."""
        session, query = self._session(request), request.query_params
        dpi = form.whole(query["dpi"], "dpi", 1, 1000) if "dpi" in query else None
        if dpi is not None and dpi not in _PICTURE_DPI:
            raise form.FormError(f"dpi: choose one of {', '.join(map(str, _PICTURE_DPI))}")
        vision = form.family_of(query) if "family" in query else None
        marks = form.marks_of(query.get("marks", ""))

        def draw() -> bytes:
            page = self._page(request, session)
            renderer = renderer_of(page.style, self.settings.root)
            return picture(page, renderer, dpi, vision, marks, session.documents)

        data = await self.workers.quickly(draw)
        return Response(data, media_type="image/png", headers={"Cache-Control": "private, max-age=3600"})

    async def text(self, request: Request) -> ASGIApp:
        """The text of a page, how far down its first mark stands, and the ids of the pages before and after it."""
        session, marks = self._session(request), form.marks_of(request.query_params.get("marks", ""))

        def read() -> dict[str, Any]:
            page = self._page(request, session)
            before, after = session.beside(page) or (self.knowledge.beside(page) if self.knowledge else ("", ""))
            top = top_of(page, renderer_of(page.style, self.settings.root), marks)
            return {
                "id": page.id, "number": page.number, "source": page.source, "text": page.text, "previous": before,
                "next": after, "top": top,
            }  # fmt: skip

        return JSONResponse(await self.workers.quickly(read))

    # -- questions and summaries ------------------------------------------------------------------------------------------

    async def ask(self, request: Request) -> ASGIApp:
        """A question; the answer is streamed."""
        session, values = self._session(request), await _json(request)
        question = self._question(values)
        if not question.text.strip():
            raise form.FormError("type a question")
        vision, chosen = form.family_of(values), form.mapping(values.get("model"), "model")
        if question.scope == "index":
            knowledge = self._knowledge()

            def from_index(job: Job) -> Iterator[Event]:
                model = self.readers.open(job, chosen, vision)
                shelf = Shelf(knowledge.find, knowledge.page)
                yield from ask(job, session, question, shelf, model, renderer_of(None, self.settings.root))

            return self._stream(session, from_index)
        style, held = form.style_of(values.get("style")), session.chosen(form.ids_of(values))

        def from_documents(job: Job) -> Iterator[Event]:
            model = self.readers.open(job, chosen, vision)
            layout = yield from self._laid_out(job, session, held, style)
            yield from indexed(job, layout)
            shelf = Shelf(partial(search_layout, layout), layout.pages.get)
            yield from ask(job, session, question, shelf, model, renderer_of(style))

        return self._stream(session, from_documents)

    @staticmethod
    def _laid_out(job: Job, session: Session, held: tuple[Held, ...], style: PageStyle) -> Generator[Event, None, Layout]:
        """All pages of documents; tells of progress."""
        layout: Layout | None = None
        for item in lay_out(job, session, held, style):
            if isinstance(item, Layout):
                layout = item
            else:
                yield item
        assert layout is not None
        return layout

    def _question(self, values: Mapping[str, Any]) -> Question:
        scope, mode = values.get("scope", "documents"), values.get("mode", "hybrid")
        if scope not in ("documents", "index") or mode not in ("hybrid", "lexical", "dense"):
            raise form.FormError("unknown scope or mode of search")
        source = values.get("source")
        source = None if source in (None, "") else form.string(source, "source", 1000)
        text = form.string(values.get("question", ""), "question", 8000)
        return Question(text, str(scope), form.whole(values.get("k", 5), "pages", 1, 50), str(mode), source)

    async def forget(self, request: Request) -> ASGIApp:
        """Begin a conversation anew."""
        self._session(request).forget(request.path_params["scope"])
        return JSONResponse({"ok": True})

    async def summary(self, request: Request) -> ASGIApp:
        """A summary of the documents or of the knowledge base, part by part."""
        session, values = self._session(request), await _json(request)
        vision, chosen = form.family_of(values), form.mapping(values.get("model"), "model")
        source = self._question(values).source
        if values.get("scope") == "index":
            index, renderer = self._knowledge().index, renderer_of(None, self.settings.root)

            def of_index(job: Job) -> Iterator[Event]:
                model = self.readers.open(job, chosen, vision)
                summarizer = summarizer_of(values, model, renderer)
                yield from summarize(job, session, summarizer, index, model, source)

            return self._stream(session, of_index)
        style, held = form.style_of(values.get("style")), session.chosen(form.ids_of(values))

        def of_documents(job: Job) -> Iterator[Event]:
            model = self.readers.open(job, chosen, vision)
            summarizer = summarizer_of(values, model, renderer_of(style))
            layout = yield from self._laid_out(job, session, held, style)
            yield from summarize(job, session, summarizer, layout.pages.values(), model)

        return self._stream(session, of_documents)

    # -- the knowledge base -----------------------------------------------------------------------------------------------

    def _knowledge(self) -> Knowledge:
        if self.knowledge is None:
            raise NotFoundError("there is no knowledge base here; start with: glyph serve --index DIR")
        return self.knowledge

    async def overview(self, request: Request) -> ASGIApp:
        """How large the knowledge base is, and what it was made of."""
        return JSONResponse(await self.workers.quickly(self._knowledge().overview))

    async def sources(self, request: Request) -> ASGIApp:
        """Its documents, by name."""
        like = form.string(request.query_params.get("like", ""), "name", 500)
        return JSONResponse(await self.workers.quickly(self._knowledge().sources, like))

    async def source_pages(self, request: Request) -> ASGIApp:
        """Pages of one of its documents."""
        query = request.query_params
        first = form.whole(query.get("first", "0"), "first", 0, 1_000_000)
        source = form.string(query.get("source", ""), "source", 1000)
        return JSONResponse(await self.workers.quickly(self._knowledge().pages, source, first, 24))

    async def search(self, request: Request) -> ASGIApp:
        """Its best pages for a question."""
        question = self._question(await _json(request))
        return JSONResponse(await self.workers.quickly(self._knowledge().search, question))


def _said(answer: Answering) -> Callable[[Request], Awaitable[Any]]:
    """The answer, or in its place what went wrong, as JSON with a fitting status."""

    async def answering(request: Request) -> Any:
        try:
            return await answer(request)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:
            status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
            return JSONResponse({"error": message_of(error)}, status)

    return answering


def _opening(password: object, encoding: object) -> documents.Opening:
    named = form.string(encoding, "encoding", 40) or None
    if named not in (None, *documents.ENCODINGS):
        raise form.FormError(f"encoding {named!r} is not offered; choose one of {', '.join(documents.ENCODINGS)}")
    return documents.Opening(form.string(password, "password", 500) or None, named)


_STATUS: dict[type[Exception], int] = {
    NotFoundError: 404, SessionGoneError: 409, documents.TooLargeError: 413, FullError: 503, GlyphError: 400,
}  # fmt: skip


async def _json(request: Request) -> Mapping[str, Any]:
    """The object in the body; what a body without announced length may hold is bounded too."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_JSON:
            raise documents.TooLargeError(f"too large: at most {MAX_JSON:,} bytes are taken")
    try:
        return form.mapping(json.loads(data or b"{}"), "request")
    except (ValueError, RecursionError):
        raise form.FormError("the request is not JSON") from None
