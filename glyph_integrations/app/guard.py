"""What stands before every request: who may ask, from where, and how much may be sent."""

from __future__ import annotations

import hmac
import json
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .settings import Settings

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
MAX_JSON = 256_000
UPLOADS = "/api/documents"
_OPEN = ("/api/enter",)  # where the token is shown


class Refusal(NamedTuple):
    """Why a request is not answered."""

    status: int
    message: str


class Guard:
    """Refuses what does not come from the app's own page, or is too large; adds the headers that keep the page safe.

    Checked are the host name (against DNS rebinding), ``Origin`` and ``Sec-Fetch-Site`` (against other sites and other ports of
    this machine), the token, and the size that a body announces, before any of it is read.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        elif refusal := self._refusal(scope):
            await _refuse(refusal, send)
        else:
            await self._app(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Refusal | None:
        headers = Headers(scope=scope)
        path, method = scope["path"], scope["method"]
        hosts = headers.getlist("host")
        host = _host_name(hosts[0]) if len(hosts) == 1 else ""
        if not host or not self._settings.answers_to(host):
            return Refusal(421, "this app does not answer to that host name; open the address it printed when it started")
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{hosts[0]}", f"https://{hosts[0]}"):  # a proxy may speak TLS
            return Refusal(403, "refused: the request came from another site")
        site = headers.get("sec-fetch-site", "none")
        opens_page = method == "GET" and path == "/" and headers.get("sec-fetch-mode") == "navigate"
        if site not in ("same-origin", "none") and not opens_page:
            return Refusal(403, "refused: the request came from another site")
        if headers.get("content-encoding", "identity") != "identity":
            return Refusal(415, "compressed bodies are not taken; send it plainly")
        if path.startswith("/api/") and path not in _OPEN and not self._known(scope, headers):
            return Refusal(401, "a token is needed: open the address that was printed at the start")
        limit = self._settings.max_upload if path == UPLOADS else MAX_JSON
        announced = headers.get("content-length", "0")
        if not announced.isascii() or not announced.isdigit() or int(announced) > limit:
            return Refusal(413, f"too large: at most {limit:,} bytes are taken")
        return None

    def _known(self, scope: Scope, headers: Headers) -> bool:
        if self._settings.token is None:
            return True
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        shown = bearer if scheme.lower() == "bearer" else unquote(cookie(headers, token_cookie(scope)))
        return same(shown, self._settings.token)


def same(shown: str, token: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(shown.encode("utf-8", "surrogatepass"), token.encode("utf-8"))


def token_cookie(scope: Scope) -> str:
    """The name of the cookie that holds the token: cookies know no ports, so the port is in it."""
    return f"glyph_token_{scope['server'][1]}"


def session_cookie(scope: Scope) -> str:
    """The name of the cookie that holds the session."""
    return f"glyph_session_{scope['server'][1]}"


def cookie(headers: Headers, name: str) -> str:
    """A cookie's value; empty where there is none. Read as browsers write them: other programs on this machine may have set
    cookies that Python's own parser stops at."""
    return cookie_parser(headers.get("cookie", "")).get(name, "")


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            headers.setdefault("Cache-Control", "no-store")
        await send(message)

    return sending


async def _refuse(refusal: Refusal, send: Send) -> None:
    body = json.dumps({"error": refusal.message}).encode()
    headers = {**_HEADERS, "Content-Type": "application/json", "Content-Length": str(len(body)), "Cache-Control": "no-store"}
    headers["Connection"] = "close"  # what is left of the body is not read
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})
