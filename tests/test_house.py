"""The rules of the house: imports point downwards, importing is cheap, nothing is pickled, files stay short."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import glyph_integrations

PACKAGE = Path(glyph_integrations.__file__).parent
FLOORS = (
    {"accelerator", "errors", "refusal", "workers", "style", "packing", "picture", "page"},
    {"sources", "vision", "ocr"},
    {"rendering"},
    {"embedding"},
    {"index"},
    {"reading"},
    {"summarizing", "tuning", "evaluation"},
    {"langchain", "llama_index", "app"},
    {"cli", "__main__"},
)
# on the ground floor, in this order
GROUND = ("accelerator", "errors", "refusal", "workers", "style", "packing", "picture", "page")
ADAPTERS = {"langchain", "llama_index"}
FRAMEWORKS = ("langchain_core", "llama_index")
HEAVY = (*FRAMEWORKS, "torch", "transformers", "faiss", "tantivy", "openai")
MODULES = sorted(PACKAGE.rglob("*.py"))


def name_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """The room a module is in; empty for the package itself."""
    return module.partition(".")[2].partition(".")[0]


@cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def imports(file: Path, nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Absolute names of all modules that these statements import."""
    package = name_of(file).split(".")
    if file.name != "__init__.py":
        package = package[:-1]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def top_level(tree: ast.AST) -> Iterator[ast.AST]:
    """Statements that run on import: not those in functions, nor under ``if TYPE_CHECKING``."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from top_level(node)


def floor_of(room: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


def loaded_after(statement: str, *candidates: str) -> set[str]:
    """Which of these packages a fresh interpreter has loaded after a statement."""
    code = f"import sys\n{statement}\nprint(*(name for name in {candidates!r} if name in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=False)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.split())


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_imports_point_downwards_only(file: Path) -> None:
    room = room_of(name_of(file))
    if not room:
        return  # the public face re-exports every floor
    for imported in imports(file, ast.walk(tree_of(file))):
        target = room_of(imported) if imported.startswith("glyph_integrations.") else ""
        if target in ("", room) or not any(target in rooms for rooms in FLOORS):
            continue
        assert floor_of(target) <= floor_of(room), f"{name_of(file)} imports {imported} from a floor above"
        if floor_of(target) == floor_of(room) == 0:
            assert GROUND.index(target) < GROUND.index(room), f"{name_of(file)} imports {imported}, which stands on it"
        else:
            assert floor_of(target) < floor_of(room) or room == "__main__", f"{name_of(file)} imports its neighbour {imported}"


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_every_room_has_a_floor_and_heavy_packages_wait_until_they_are_used(file: Path) -> None:
    room = room_of(name_of(file))
    assert not room or any(room in rooms for rooms in FLOORS), f"{room} is on no floor"
    for imported in imports(file, top_level(tree_of(file))):
        package = imported.partition(".")[0]
        if package in HEAVY:
            assert room in ADAPTERS, f"{name_of(file)} imports {imported} when it is itself imported"
    if room not in ADAPTERS:
        used = {name.partition(".")[0] for name in imports(file, ast.walk(tree_of(file)))}
        assert not used & {*FRAMEWORKS}, f"{name_of(file)} knows a framework"


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_nothing_is_pickled(file: Path) -> None:
    unsafe = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
    assert not unsafe & {name.partition(".")[0] for name in imports(file, ast.walk(tree_of(file)))}
    assert not any(
        isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "trust_remote_code", "allow_dangerous_deserialization")
        and getattr(node.value, "value", None) is True
        for node in ast.walk(tree_of(file))
    )  # fmt: skip


@pytest.mark.parametrize("file", MODULES, ids=name_of)
def test_no_file_grows_past_450_lines(file: Path) -> None:
    assert len(file.read_text(encoding="utf-8").splitlines()) <= 450


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_after("import glyph_integrations", *HEAVY, "numpy", "PIL", "langchain", "pydantic") == set()


def test_using_the_core_loads_no_framework_and_no_torch() -> None:
    core = [name_of(file) for file in MODULES if room_of(name_of(file)) not in {*ADAPTERS, "cli", "__main__"}]
    everything = "\n".join(f"import {name}" for name in core)
    assert loaded_after(everything, *HEAVY) == set()


@pytest.mark.parametrize(("adapter", "other"), [("langchain", "llama_index"), ("llama_index", "langchain_core")])
def test_an_adapter_loads_its_own_framework_only(adapter: str, other: str) -> None:
    pytest.importorskip({"langchain": "langchain_core", "llama_index": "llama_index.core"}[adapter])
    assert loaded_after(f"import glyph_integrations.{adapter}", other, "torch", "openai") == set()


@pytest.mark.parametrize("name", glyph_integrations.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    assert getattr(glyph_integrations, name) is getattr(glyph_integrations, name)
    assert name in dir(glyph_integrations)


def test_public_names_are_what_type_checkers_are_told() -> None:
    face = tree_of(PACKAGE / "__init__.py")
    block = next(node for node in face.body if isinstance(node, ast.If))
    told = {alias.name: (node.module or "") for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert told == glyph_integrations._HOME
    assert {*told, "__version__"} == {*glyph_integrations.__all__}


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'PageMangler'"):
        _ = glyph_integrations.PageMangler
