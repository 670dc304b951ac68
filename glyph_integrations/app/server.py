"""The web app: which address does what, and `serve`, which runs it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import MissingExtraError
from .settings import Settings

if TYPE_CHECKING:
    from starlette.types import ASGIApp

STATIC = Path(__file__).parent / "static"


def create_app(settings: Settings | None = None) -> ASGIApp:
    """The app, for any ASGI server; on loopback unless the settings say otherwise.

    Raises:
        MissingExtraError: starlette is not installed.
    """
    try:
        from .guard import Guard
        from .routes import Routes
    except ImportError as error:
        if (error.name or "").partition(".")[0] != "starlette":
            raise
        raise MissingExtraError("starlette", "ui") from None
    settings = settings or Settings()
    return Guard(Routes(settings, STATIC).app(), settings)


def serve(settings: Settings) -> None:
    """Run the app until it is interrupted. Requests are not logged: an address may hold what is nobody's business.

    Raises:
        MissingExtraError: starlette or uvicorn is not installed.
        OSError: the port is taken, or the host is no address of this machine.
    """
    app = create_app(settings)
    try:
        import uvicorn
    except ImportError:
        raise MissingExtraError("uvicorn", "ui") from None
    config = uvicorn.Config(
        app, access_log=False, log_level="warning", server_header=False,
        proxy_headers=False, timeout_keep_alive=10, timeout_graceful_shutdown=3, limit_concurrency=300, ws="none",
    )  # fmt: skip
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.create_server((settings.host, settings.port), family=family) as bound:  # uvicorn would end the whole process
        uvicorn.Server(config).run(sockets=[bound])
