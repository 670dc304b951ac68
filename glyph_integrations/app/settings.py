"""What the app is allowed to do, decided where it is started and never by a browser."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..index import PageIndex

MB = 1_000_000


@dataclass(frozen=True)
class ModelServer:
    """An OpenAI-compatible server that was named at the start.

    Attributes:
        base_url: such as ``http://127.0.0.1:8000/v1``.
        model: the name it knows the model by; empty: the person says.
        api_key: sent to this server only.
    """

    base_url: str
    model: str = ""
    api_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Settings:
    """All that a running app keeps to.

    Attributes:
        host, port: where it listens. Port 0: any free one.
        token: what a client must show; None: nothing (on loopback only).
        names: host names it answers to besides loopback ones and, on another host, plain addresses.
        index: the knowledge base; None: there is none.
        root: the only folder whose files may be opened by name; None: files can only be uploaded.
        servers: model servers to choose from. On loopback, without further ``names``, a person may type another.
        checkpoints: local vision-language models to choose from: folders or repository ids.
        max_upload: bytes of one document.
        max_held: bytes of documents that all sessions hold together. With their pages and their index they take
            some twelve times as much memory.
        max_sessions: at most; the one unused for longest ends first.

    Raises:
        ValueError: a host that is not loopback, without a token.
    """

    host: str = "127.0.0.1"
    port: int = 8421
    token: str | None = field(default=None, repr=False)
    names: tuple[str, ...] = ()
    index: PageIndex | None = None
    root: Path | None = None
    servers: tuple[ModelServer, ...] = ()
    checkpoints: tuple[str, ...] = ()
    max_upload: int = 50 * MB
    max_held: int = 200 * MB
    max_sessions: int = 64

    def __post_init__(self) -> None:
        if not self.loopback and not self.token:
            raise ValueError(f"host {self.host!r} can be reached from other machines, so a token is needed")

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def secluded(self) -> bool:
        """Whether it is meant for people at this machine alone: on loopback, and under no name of its own, as a proxy's is."""
        return self.loopback and not self.names

    def answers_to(self, name: str) -> bool:
        """Whether a request for this host name is meant for this app: a page elsewhere can make its own name point here."""
        name = name.lower().rstrip(".")
        if is_loopback(name) or name in {known.lower() for known in self.names}:
            return True
        return not self.loopback and (name == self.host.lower() or _is_address(name))


def is_loopback(host: str) -> bool:
    """Whether a host name or address (IPv6 with or without brackets) is this machine alone."""
    host = host.strip("[]")
    return host.lower() == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
