"""What can read pages for a person: quotations, OCR, a model server, a checkpoint on this machine."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from ..errors import MissingExtraError, UnknownModelError
from ..reading import ExtractiveModel, OcrModel, OpenAIModel, PageModel, TransformersModel
from ..vision import VisionProfile
from .form import FormError, string
from .settings import ModelServer, Settings
from .work import Job

_TIMEOUT = 180.0  # seconds of silence after which a model server is given up


class Readers:
    """Opens what a person chose, as far as the settings allow. Large models are loaded once, for all."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._loaded: dict[str, Any] = {}

    def offered(self) -> dict[str, Any]:
        """What can be chosen."""
        settings = self._settings
        return {
            "ocr": _has("rapidocr") and _has("onnxruntime"),
            "client": _has("openai"),
            "servers": [{"base_url": s.base_url, "model": s.model, "key": bool(s.api_key)} for s in settings.servers],
            "any_server": settings.secluded,
            "checkpoints": [os.path.basename(name.rstrip("/\\")) for name in settings.checkpoints],
        }

    def open(self, job: Job, values: Mapping[str, Any], vision: VisionProfile) -> PageModel:
        """The model that a person chose.

        Raises:
            FormError: not one that may be chosen here.
            MissingExtraError, ModelError: it cannot be opened.
        """
        kind = string(values.get("kind", "none"), "model", 20)
        if kind == "none":
            return ExtractiveModel(vision)
        if kind == "ocr":
            return OcrModel(self._once(job, "ocr", _ocr_engine), vision)
        if kind == "server":
            return self._server(values)
        if kind == "checkpoint":
            number = values.get("number")
            if not isinstance(number, int) or not 0 <= number < len(self._settings.checkpoints):
                raise FormError("that checkpoint is not offered; name it at the start with --checkpoint")
            name = self._settings.checkpoints[number]
            loaded: PageModel = self._once(job, f"checkpoint {name}", lambda: TransformersModel(name, max_tokens=1024))
            return loaded
        raise FormError(f"unknown kind of model {kind!r}")

    def _once(self, job: Job, name: str, make: Callable[[], Any]) -> Any:
        if name in self._loaded:  # others may be waiting for a large model
            return self._loaded[name]
        with self._lock:
            if name not in self._loaded:
                if name.startswith("checkpoint"):
                    job.tell({"kind": "progress", "what": "Loading the model", "done": 0, "share": None})
                self._loaded[name] = make()
            return self._loaded[name]

    def _server(self, values: Mapping[str, Any]) -> PageModel:
        base_url = string(values.get("base_url", ""), "base URL", 500).strip().rstrip("/")
        model = string(values.get("model", ""), "model name", 200).strip()
        sees = string(values.get("sees", ""), "how it sees", 100)
        listed = next((s for s in self._settings.servers if s.base_url.rstrip("/") == base_url), None)
        if listed is None:
            self._check_address(base_url)
            listed = ModelServer(base_url)
        name = model or listed.model
        if not name:
            raise FormError("the model server needs the name of a model")
        key = string(values.get("api_key", ""), "key", 500) or listed.api_key
        # never a key of this machine's environment: the address is a person's
        return OpenAIModel(name, base_url, key or "none", _vision(sees or name), timeout=_TIMEOUT, max_retries=1)

    def _check_address(self, base_url: str) -> None:
        """A request to an address that a browser named is made from here, so it may reach what the browser cannot."""
        if not self._settings.secluded:
            raise FormError("only the model servers named at the start with --server can be used here")
        try:
            parts = urlsplit(base_url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.username
        except ValueError:
            usable = False
        if not usable:
            raise FormError("the base URL of a model server looks like http://127.0.0.1:8000/v1")


def _ocr_engine() -> Any:
    from ..ocr import CachedReader, RapidOcrReader

    return CachedReader(RapidOcrReader())  # one for all: it takes half a gigabyte


def _vision(name: str) -> VisionProfile | None:
    if name == "text":
        return None
    try:
        return VisionProfile.get(name)
    except UnknownModelError:
        return None  # pages go as text, and the account says so


def _has(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ImportError, ValueError, MissingExtraError):
        return False
