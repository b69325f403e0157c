"""Chinese disease records: lists become statements, aliases synonyms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from synth_kg.builder import Builder, Built
from synth_kg.readers.blocks import NOT_JSON
from synth_kg.readers.medical_cn import FIELDS, PRODUCTS, name_of, read_medical_cn
from synth_kg.sniff import UnusableSource
from synth_kg.typed import TypedGraph


def built(path: Path) -> Built:
    builder = Builder()
    read_medical_cn(path, builder)
    return builder.finish()


def test_the_file_of_that_shape_is_read_whole(shared: Path) -> None:
    path = shared / "kg/cn_medical_shape/medical_shape.jsonl"
    graph = built(path)
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    stated = {
        (name_of(record["name"])[0], field, item)
        for record in records
        for field in FIELDS
        for item in record.get(field, [])
    }
    products = {item for record in records for item in record.get(PRODUCTS, []) if "(" in item}
    assert graph.columns.statements == len(stated) + len(products) == 119
    assert sum(row.type == "Disease" for row in graph.nodes) == len(
        {name_of(record["name"])[0] for record in records} | {i for r in records for i in r.get("acompany", [])}
    )
    (row,) = [row for row in graph.nodes if row.id == "测试病丙"]
    assert row.synonyms == ("丙症",)


@pytest.mark.parametrize(
    ("text", "name", "aliases"),
    [
        ("糖尿病（别名：消渴症、消渴）", "糖尿病", ("消渴症", "消渴")),
        ("麻疹(又称痧子)", "麻疹", ("痧子",)),
        ("肺炎（儿童）", "肺炎（儿童）", ()),
        ("（别名：甲）", "（别名：甲）", ("甲",)),
    ],
)
def test_aliases_stand_in_brackets_that_say_so(text: str, name: str, aliases: tuple[str, ...]) -> None:
    assert name_of(text) == (name, aliases)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
def test_records_of_a_name_are_one_disease_and_bad_ones_counted(tmp_path: Path, encoding: str) -> None:
    lines = [
        '{"name": "感冒", "symptom": ["咳嗽", "咳嗽", " "], "drug_detail": ["某厂片(甲)", "乙"]}',
        '{"name": "感冒", "symptom": ["发热", 3], "check": "血常规", "acompany": {"a": 1}, "do_eat": null}',
        '{"name": "感冒", "sym',
        '{"symptom": ["发热"]}',
        "[1]",
    ]
    path = tmp_path / "m.jsonl"
    path.write_bytes("\n".join(lines).encode(encoding))
    graph = built(path)
    edges = {(e.head, e.relation, e.tail[1]) for e in TypedGraph.of(graph).edges()}
    cold = ("Disease", "感冒")
    assert edges == {
        (cold, "has_symptom", "咳嗽"), (cold, "has_symptom", "发热"), (cold, "examined_by", "血常规"),
        (("DrugProduct", "某厂片"), "product_of", "甲"),
    }  # fmt: skip
    assert {one.reason: one.examples for one in graph.dropped} == {
        NOT_JSON: ("m.jsonl:3", "m.jsonl:5"),
        "a record without a name": ("m.jsonl:4",),
        "acompany is not a list": ("m.jsonl:2",),
        "an item of drug_detail without the drug in brackets": ("m.jsonl:1",),
        "an item of symptom that is not text": ("m.jsonl:2",),
    }


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"id": 1}\n{"id": 2}\n')
    with pytest.raises(UnusableSource, match="not disease records"):
        built(tmp_path / "m.jsonl")
