"""LlamaIndex's metadata filters as those of `PageIndex`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.vector_stores.types import FilterCondition, FilterOperator, MetadataFilter, MetadataFilters

from ..errors import QueryError

REF_DOC_ID = "_ref_doc_id"  # metadata of a row: the document its node came from

_COMPARED = {
    FilterOperator.EQ: "$eq",
    FilterOperator.NE: "$ne",
    FilterOperator.GT: "$gt",
    FilterOperator.GTE: "$gte",
    FilterOperator.LT: "$lt",
    FilterOperator.LTE: "$lte",
    FilterOperator.CONTAINS: "$eq",  # a field that holds a list equals each of its values
}
_LISTED = {FilterOperator.IN: "$in", FilterOperator.NIN: "$nin", FilterOperator.ANY: "$in"}


def page_filter(
    filters: MetadataFilters | None, page_ids: Sequence[str] | None = None, doc_ids: Sequence[str] | None = None
) -> dict[str, Any] | None:
    """The filter for `PageIndex.search`; None when nothing is asked.

    Conditions are joined by AND, OR or NOT (none of them holds) and may be nested. ``!=`` and ``nin`` match nodes without the
    field. ``contains``, ``any`` and ``all`` ask for values of a list; a single value counts as a list of one. ``is_empty``
    matches a field that is missing, None, an empty list or an empty string.

    Raises:
        QueryError: ``text_match`` or ``text_match_insensitive``, which ask for a part of a value, or a value of the wrong kind.
    """
    parts: list[dict[str, Any]] = []
    if page_ids is not None:
        parts.append({"glyph_id": {"$in": list(page_ids)}})
    if doc_ids is not None:
        parts.append({REF_DOC_ID: {"$exists": True, "$in": list(doc_ids)}})  # nodes need not come from a document
    if filters is not None and filters.filters:
        parts.append(_joined(filters))
    return {"$and": parts} if parts else None


def _joined(filters: MetadataFilters) -> dict[str, Any]:
    parts = [_joined(item) if isinstance(item, MetadataFilters) else _tested(item) for item in filters.filters]
    match filters.condition or FilterCondition.AND:
        case FilterCondition.AND:
            return {"$and": parts} if parts else {}
        case FilterCondition.OR:
            return {"$or": parts} if parts else {}
        case FilterCondition.NOT:
            return {"$not": {"$or": parts}} if parts else {}
    raise QueryError(f"filters joined by {filters.condition!r} are not supported; join them by AND, OR or NOT")


def _tested(item: MetadataFilter) -> dict[str, Any]:
    key, operator, value = item.key, item.operator, item.value
    if operator in _COMPARED:
        return {key: {_COMPARED[operator]: value}}
    if operator == FilterOperator.IS_EMPTY:
        return {key: {"$in": [None, ""]}}
    if operator in _LISTED or operator == FilterOperator.ALL:
        if not isinstance(value, list):
            raise QueryError(f"filter on {key!r}: {operator.value!r} takes a list of values, not {value!r}")
        if operator in _LISTED:
            return {key: {_LISTED[operator]: value}}
        return {"$and": [{key: one} for one in value]} if value else {key: {"$exists": True}}
    raise QueryError(
        f"filter on {key!r}: operator {operator.value!r} is not supported, for filters compare whole values; "
        "to search for words of the text, ask for them as a query of mode 'text_search'"
    )
