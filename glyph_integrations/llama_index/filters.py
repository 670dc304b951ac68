"""LlamaIndex's metadata filters as those of `PageIndex`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilters

from ..errors import QueryError

REF_DOC_ID = "_ref_doc_id"  # metadata of a row: the document its node came from


def page_filter(
    filters: MetadataFilters | None, page_ids: Sequence[str] | None = None, doc_ids: Sequence[str] | None = None
) -> dict[str, Any] | None:
    """The filter for `PageIndex.search`; None when nothing is asked. Conditions on one field are intersected.

    Raises:
        QueryError: an operator other than ``==`` and ``in``, or a condition other than AND.
    """
    allowed: dict[str, list[Any]] = {}
    if page_ids is not None:
        allowed["glyph_id"] = list(page_ids)
    if doc_ids is not None:
        allowed[REF_DOC_ID] = list(doc_ids)
    for key, values in _conditions(filters) if filters else ():
        allowed[key] = [v for v in allowed[key] if v in values] if key in allowed else values
    return {key: {"$in": values} for key, values in allowed.items()} or None


def _conditions(filters: MetadataFilters) -> Iterator[tuple[str, list[Any]]]:
    condition = filters.condition or FilterCondition.AND
    if condition != FilterCondition.AND and (len(filters.filters) > 1 or condition != FilterCondition.OR):
        raise QueryError(f"filters joined by {condition.value.upper()} are not supported; join them by AND, or use 'in'")
    for item in filters.filters:
        if isinstance(item, MetadataFilters):
            yield from _conditions(item)
        elif item.operator == FilterOperator.EQ:
            yield item.key, [item.value]
        elif item.operator == FilterOperator.IN and isinstance(item.value, list):
            yield item.key, list(item.value)
        elif item.operator == FilterOperator.IN:
            raise QueryError(f"filter on {item.key!r}: 'in' takes a list of values, not {item.value!r}")
        else:
            raise QueryError(f"filter on {item.key!r}: operator {item.operator.value!r} is not supported; use '==' or 'in'")
