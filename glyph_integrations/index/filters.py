"""Metadata filters: a small dict -> an SQL condition."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import QueryError

_OWN = {"glyph_id": "id", "glyph_source": "CAST(source AS TEXT)", "glyph_n": "number"}
_CALLERS = "(SELECT value FROM json_each(pages.metadata) WHERE key = ?)"


def filter_condition(filter: Mapping[str, Any]) -> tuple[str, list[str]]:
    """An SQL condition on the ``pages`` table, and its parameters.

    ``{"field": value}`` and ``{"field": {"$in": [values]}}``, all of which must hold. Values are strings, numbers, booleans
    (equal to 1 and 0, as in Python) or None, which means the field is absent or null.

    Raises:
        QueryError: an unknown operator or field, or a value that cannot be compared.
    """
    conditions = ["1"]
    parameters: list[str] = []
    for field, wanted in filter.items():
        if not isinstance(field, str) or not field.isprintable():
            raise QueryError(f"filter field {field!r}: must be a printable string")
        if field.startswith("glyph_") and field not in _OWN:
            raise QueryError(f"filter field {field!r}: of a page's own values only {', '.join(_OWN)} can be filtered on")
        values = _values(field, wanted)
        if field in _OWN:
            value = _OWN[field]
        elif field == "source":
            value, parameters = f"COALESCE({_CALLERS}, CAST(source AS TEXT))", [*parameters, field]
        else:
            value, parameters = _CALLERS, [*parameters, field]
        tests = [f"{value} IN (SELECT value FROM json_each(?))"]
        parameters.append(json.dumps([v for v in values if v is not None], allow_nan=False))
        if None in values:
            tests.append(f"{value} IS NULL")
            parameters += [field] if "?" in value else []
        conditions.append(f"({' OR '.join(tests)})")
    return " AND ".join(conditions), parameters


def _values(field: str, wanted: Any) -> list[Any]:
    if isinstance(wanted, Mapping):
        if set(wanted) != {"$in"}:
            raise QueryError(f"filter on {field!r}: unknown operator {', '.join(map(repr, wanted)) or '{}'}; known: '$in'")
        wanted = wanted["$in"]
        if not isinstance(wanted, Sequence | set | frozenset) or isinstance(wanted, str | bytes):
            raise QueryError(f"filter on {field!r}: '$in' takes a list of values, not {type(wanted).__name__}")
        values = list(wanted)
    else:
        values = [wanted]
    for value in values:
        if not isinstance(value, str | int | float | None) or (isinstance(value, float) and value - value != 0):
            raise QueryError(f"filter on {field!r}: {value!r} is not a string, finite number, boolean or None")
    return values
