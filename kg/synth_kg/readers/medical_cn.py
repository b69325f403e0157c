"""Chinese disease records as JSON Lines, one disease a line, in the shape of QASystemOnMedicalKG's medical.json.

A disease goes by its name: lines of the same name speak of the same disease. Names like 糖尿病（别名：消渴症） have
an alias, which becomes a synonym. Fields that hold lists become statements by `FIELDS`; fields of prose (desc,
cause, prevent, cost_money and so on) are not read.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from synth_kg.builder import NOT_TOLD, About, Builder
from synth_kg.readers.blocks import objects_of, refuse_other
from synth_kg.readers.tables import Into
from synth_kg.sniff import UnusableSource

TITLE = "Chinese disease records"
DISEASE = "Disease"


class Field(NamedTuple):
    """What a field's items are to the disease."""

    relation: str
    type: str
    """Of the items."""


FIELDS = {
    "symptom": Field("has_symptom", "Symptom"),
    "acompany": Field("accompanied_by", DISEASE),
    "category": Field("in_category", "Category"),
    "cure_department": Field("treated_in", "Department"),
    "cure_way": Field("treated_by", "Treatment"),
    "check": Field("examined_by", "Examination"),
    "common_drug": Field("common_drug", "Drug"),
    "recommand_drug": Field("recommended_drug", "Drug"),
    "do_eat": Field("good_to_eat", "Food"),
    "not_eat": Field("not_to_eat", "Food"),
    "recommand_eat": Field("recommended_dish", "Dish"),
}
"""Field, spelled as in the files -> relation and type."""
PRODUCTS, PRODUCT, CONTAINS = "drug_detail", "DrugProduct", "product_of"
"""Items like `maker drug(drug)`: a product on the market, and the drug that it is."""
_CALLED = "别名|别称|又名|又称|亦称|也称|也叫|俗称|简称|旧称"
_ALIAS = re.compile(rf"\s*[（(]\s*(?:{_CALLED})\s*[:：]?\s*(?P<names>[^（）()]+)[）)]")
_PRODUCT = re.compile(r"(?P<product>.+)[(（](?P<drug>[^()（）]+)[)）]")


def read_medical_cn(path: Path, builder: Builder, about: About = NOT_TOLD) -> None:
    """Read a file of disease records.

    Args:
        path: JSON Lines.
        builder: takes what is found.
        about: what a person says of the source.

    Raises:
        UnusableSource: no line has a `name` and one of the fields, or the file is cut or damaged.
    """
    refuse_other(path, "jsonl", "json", "text", "csv", "zstd")
    into = Into(builder, builder.told(about, TITLE), about.name or TITLE)
    fit = False
    for line, told in objects_of(path, into.bad(path)):
        name = told.get("name")
        if not isinstance(name, str) or not name.strip():
            into.drop(path, "a record without a name", line)
            continue
        fit = fit or bool(FIELDS.keys() & told.keys())
        _record(name, told, into, path, line)
    if not fit:
        raise UnusableSource(f"{path}: not disease records: no line has `name` and one of {', '.join(FIELDS)}")


def name_of(text: str) -> tuple[str, tuple[str, ...]]:
    """A name without its aliases, and those.

    >>> name_of("糖尿病（别名：消渴症、消渴）")
    ('糖尿病', ('消渴症', '消渴'))
    """
    names = (found["names"] for found in _ALIAS.finditer(text))
    aliases = tuple(name.strip() for several in names for name in re.split(r"[、，,;；/]", several) if name.strip())
    return _ALIAS.sub("", text).strip() or text.strip(), aliases


def _record(name: str, told: dict[str, Any], into: Into, path: Path, line: int) -> None:
    builder, origin = into.builder, into.origin
    disease, aliases = name_of(name)
    head = builder.node(origin, DISEASE, disease, disease, aliases)
    for field, (relation, kind) in FIELDS.items():
        number = builder.relation(relation)
        for item in _items(told, field, into, path, line):
            text, also = name_of(item) if kind == DISEASE else (item, ())
            builder.edge(origin, head, number, builder.node(origin, kind, text, text, also))
    number = builder.relation(CONTAINS)
    for item in _items(told, PRODUCTS, into, path, line):
        found = _PRODUCT.fullmatch(item)
        if found is None:
            into.drop(path, f"an item of {PRODUCTS} without the drug in brackets", line)
            continue
        product, drug = found["product"].strip(), found["drug"].strip()
        if product and drug:
            ends = builder.node(origin, PRODUCT, product, product), builder.node(origin, "Drug", drug, drug)
            builder.edge(origin, ends[0], number, ends[1])


def _items(told: dict[str, Any], field: str, into: Into, path: Path, line: int) -> list[str]:
    """The items of a field, each once; a text alone is one item."""
    value = told.get(field)
    items = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(items, list):
        into.drop(path, f"{field} is not a list", line)
        return []
    strange = sum(not isinstance(item, str) for item in items)
    if strange:
        into.drop(path, f"an item of {field} that is not text", line, strange)
    return list(dict.fromkeys(item.strip() for item in items if isinstance(item, str) and item.strip()))
