"""Metadata filters: a dict that says what a page must be, read into a tree of conditions.

A filter names fields of a page's metadata, and all that it says must hold:

    {"year": 1871}                              equal; 1, 1.0 and True are equal, 1 and "1" are not
    {"year": None}                              the page has no such field, or nothing in it: None or an empty list
    {"year": {"$gte": 1850, "$lt": 1900}}       operators, all of which must hold
    {"$or": [{"lang": "en"}, {"lang": None}]}   filters joined by "$and" or "$or"
    {"$not": {"lang": "en", "year": 1871}}      pages that a filter does not match

Operators: ``$eq``, ``$ne``, ``$in`` and ``$nin`` (lists of values), ``$gt``, ``$gte``, ``$lt``, ``$lte``, and ``$exists`` (True
or False: whether the field is there, even if nothing is in it). As in MongoDB:

- ``$ne`` and ``$nin`` match what ``$eq`` and ``$in`` do not, so a page without the field matches them.
- A range compares numbers with numbers and texts with texts (by code point); a page with anything else there does not match.
- A field that holds a list matches where one of its values does.

Whole numbers are exact up to 64 bits; larger ones count as the nearest float. Texts are equal only as a whole; texts of more
than 200 bytes of UTF-8 are ordered by these. An object inside metadata equals nothing.

Fields are the caller's own, and of the page's own values ``glyph_id``, ``glyph_source`` and ``glyph_n``; ``source`` is the
page's source where the caller gave none. A field that no page has is taken for a slip and refused, unless the same filter also
tests it by ``$exists`` or for None: ``{"year": {"$exists": True, "$gt": 1850}}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

from ..errors import QueryError

OWN = ("glyph_id", "glyph_source", "glyph_n")
"""Fields that are the page's own values."""

DEPTH = 32
"""Filters may be nested so deep."""

Value = str | int | float | None
Bound = Literal["$gt", "$gte", "$lt", "$lte"]

_OPERATORS = "$eq, $ne, $in, $nin, $gt, $gte, $lt, $lte, $exists"


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field has one of these values; None: it has none, or None."""

    field: str
    values: frozenset[Value]


@dataclass(frozen=True, slots=True)
class Range:
    """The field has a number, or a text, on one side of a bound."""

    field: str
    operator: Bound
    bound: str | int | float


@dataclass(frozen=True, slots=True)
class Exists:
    """The field is there."""

    field: str


@dataclass(frozen=True, slots=True)
class Not:
    """The condition does not hold."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Every:
    """All of these hold."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """At least one of these holds."""

    conditions: tuple[Condition, ...]


Condition = OneOf | Range | Exists | Not | Every | Either


def parse_filter(filter: Mapping[str, Any]) -> Condition:
    """The condition that a filter states.

    Raises:
        QueryError: not such a filter: an unknown operator, a value that cannot be compared, nesting over `DEPTH`.
    """
    return _every(filter, DEPTH)


def required_fields(condition: Condition) -> set[str]:
    """Fields that are tested, and nowhere for being absent."""
    tests = list(_tests(condition))
    lenient = {test.field for test in tests if isinstance(test, Exists) or (isinstance(test, OneOf) and None in test.values)}
    return {test.field for test in tests} - lenient


def _tests(condition: Condition) -> Iterator[OneOf | Range | Exists]:
    match condition:
        case Every(parts) | Either(parts):
            for part in parts:
                yield from _tests(part)
        case Not(part):
            yield from _tests(part)
        case _:
            yield condition


def _every(filter: Any, depth: int) -> Condition:
    if not isinstance(filter, Mapping):
        raise QueryError(f"a filter is a dict, not {filter!r:.100}")
    if depth < 1:
        raise QueryError(f"a filter may be nested {DEPTH} deep, no deeper")
    return _all([condition for name, wanted in filter.items() for condition in _named(name, wanted, depth - 1)])


def _all(conditions: Sequence[Condition]) -> Condition:
    return conditions[0] if len(conditions) == 1 else Every(tuple(conditions))


def _named(name: Any, wanted: Any, depth: int) -> Iterator[Condition]:
    if not isinstance(name, str):
        raise QueryError(f"filter field {name!r:.100}: must be a string")
    if name in ("$and", "$or"):
        if not isinstance(wanted, Sequence) or isinstance(wanted, str | bytes) or not wanted:
            raise QueryError(f"{name!r} takes a list of one or more filters, not {wanted!r:.100}")
        conditions = tuple(_every(part, depth) for part in wanted)
        yield Every(conditions) if name == "$and" else Either(conditions)
    elif name == "$not":
        yield Not(_every(wanted, depth))
    elif name.startswith("$"):
        raise QueryError(f"filter: unknown operator {name!r:.100}; known here: $and, $or, $not; on a field: {_OPERATORS}")
    elif name.startswith("glyph_") and name not in OWN:
        raise QueryError(f"filter field {name!r:.100}: of a page's own values only {', '.join(OWN)} can be filtered on")
    elif isinstance(wanted, Mapping):
        if not wanted:
            raise QueryError(f"filter on {name!r:.100}: no operator in {{}}; known: {_OPERATORS}")
        for operator, operand in wanted.items():
            yield _test(name, operator, operand)
    else:
        yield _test(name, "$eq", wanted)


def _test(field: str, operator: Any, operand: Any) -> Condition:
    match operator:
        case "$eq" | "$ne":
            test: Condition = OneOf(field, frozenset([_value(field, operand)]))
            return test if operator == "$eq" else Not(test)
        case "$in" | "$nin":
            if not isinstance(operand, Sequence | set | frozenset) or isinstance(operand, str | bytes):
                raise QueryError(f"filter on {field!r:.100}: {operator!r} takes a list of values, not {operand!r:.100}")
            test = OneOf(field, frozenset([_value(field, value) for value in operand]))
            return test if operator == "$in" else Not(test)
        case "$gt" | "$gte" | "$lt" | "$lte":
            bound = _value(field, operand)
            if bound is None:
                raise QueryError(f"filter on {field!r:.100}: {operator!r} takes a number or a string, not None")
            return Range(field, operator, bound)
        case "$exists":
            if not isinstance(operand, bool):
                raise QueryError(f"filter on {field!r:.100}: '$exists' takes True or False, not {operand!r:.100}")
            return Exists(field) if operand else Not(Exists(field))
    raise QueryError(f"filter on {field!r:.100}: unknown operator {operator!r:.100}; known: {_OPERATORS}")


def _value(field: str, value: Any) -> Value:
    if not _is_value(value):
        raise QueryError(f"filter on {field!r:.100}: {value!r:.100} is not a string, finite number, boolean or None")
    return value


def _is_value(value: Any) -> TypeGuard[Value]:
    return isinstance(value, str | int | float | None) and not (isinstance(value, float) and value - value != 0)
