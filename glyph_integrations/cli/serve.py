"""``glyph serve``: the app in a browser."""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ..errors import DocumentError
from .embedder import EmbedderOption, recorded_or
from .options import KeyOption, secret
from .terminal import Terminal

_MB = 1_000_000


def serve(
    index: Annotated[
        Path | None,
        typer.Option("--index", "-i", metavar="DIR", help="A folder made by glyph index, to ask and read.", show_default=False),
    ] = None,
    root: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="The only folder whose files may be opened; also for the PDFs of an index.", show_default=False
        ),
    ] = None,
    embedder: EmbedderOption = None,
    server: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL", help="An OpenAI-compatible model server to offer. May be given several times.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str, typer.Option(metavar="NAME", help="The name of the model on these servers.", show_default=False)
    ] = "",
    api_key: KeyOption = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DIR|NAME", help="A local vision-language model to offer (transformers). May be given several times.",
            show_default=False,
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen. Any but this machine alone needs a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port; 0: any free one.")] = 8421,
    token: Annotated[
        str | None,
        typer.Option(
            metavar="ENV", help="Environment variable with the token to ask for. Default: none on this machine, else made.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="A further host name it is reached by, such as behind a proxy.", show_default=False),
    ] = None,
    max_upload: Annotated[int, typer.Option(min=1, max=1000, metavar="MB", help="Largest document.")] = 50,
) -> None:  # fmt: skip
    """Open the app for a browser: draw documents as pages, ask, follow citations, summarize, read a knowledge base.

    It listens on this machine only, and opens no file but those that are uploaded or lie in --root. Stop it with Ctrl-C.
    """
    from ..app import ModelServer, Settings
    from ..app import serve as run
    from ..app.settings import is_loopback
    from ..index import PageIndex

    known = secret(token, "--token")
    made = None if is_loopback(host) or known else secrets.token_urlsafe(32)
    key = secret(api_key, "--api-key") if api_key else os.environ.get("OPENAI_API_KEY") if server else None
    if root is not None and not root.is_dir():
        raise DocumentError(f"{root} is not a folder; choose one with --root")
    if index is not None and not PageIndex.exists(index):
        raise DocumentError(f"{index} is no index; make one with: glyph index PATH --index {index}")
    port = port or _free_port(host)
    with ExitStack() as stack:
        opened = None if index is None else stack.enter_context(PageIndex.open(index, recorded_or(embedder, index)))
        settings = Settings(
            host=host, port=port, token=known or made, names=tuple(name or ()), index=opened, root=root,
            servers=tuple(ModelServer(url, model, key) for url in server or ()), checkpoints=tuple(checkpoint or ()),
            max_upload=max_upload * _MB, max_held=max(200, 4 * max_upload) * _MB,
        )  # fmt: skip
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{port}/" + (f"#token={made}" if made else "")
        terminal = Terminal()
        terminal.step("Serve", f"{address}  (stop with Ctrl-C)")
        if made:
            terminal.warn("anybody with this address and token can use the app; what is sent is not encrypted")
        run(settings)


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as found:
        found.bind((host, 0))
        return int(found.getsockname()[1])
