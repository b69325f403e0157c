"""What may be asked, and on what grounds a disease is ruled out."""

from synth_kg.knowledge import Knowledge

MIGRAINE, ALS, MS = "DOID:6364", "DOID:332", "DOID:2377"


def test_a_clue_needs_an_edge_a_keep_line_and_a_typical_line(knowledge: Knowledge) -> None:
    for disease, clues in knowledge.clues.items():
        for clue in clues:
            assert clue.edge.head == ("Disease", disease)
            assert clue.finding.verdict == "keep"
            assert clue.typical.verdict == "typical"
            assert clue.finding.finding in knowledge.findings_of(clue.edge)


def test_what_the_tables_do_not_say_rules_nothing_out(knowledge: Knowledge) -> None:
    for disease, entries in list(knowledge.tables.typical.items())[:40]:
        for finding in knowledge.tables.findings:
            if finding not in entries:
                assert not knowledge.grounds(disease, "", [finding])
                assert not knowledge.denies(disease, finding)


def test_every_ground_names_a_line_that_says_so(knowledge: Knowledge) -> None:
    for disease, entries in knowledge.tables.typical.items():
        for ground in knowledge.grounds(disease, "", list(entries), list(entries)):
            row = knowledge.tables.rows[ground.refs[0]]
            assert row.finding == ground.finding  # type: ignore[attr-defined]
            if ground.kind == "never":
                assert row.verdict == "never ask"  # type: ignore[attr-defined]
            if ground.kind == "absent":
                assert row.cardinal  # type: ignore[attr-defined]


def test_a_separator_works_in_one_direction_only(knowledge: Knowledge) -> None:
    assert [g.kind for g in knowledge.grounds(MS, ALS, ["fasciculation"])][:1] == ["separator"]
    assert all(g.kind != "separator" for g in knowledge.grounds(ALS, MS, ["fasciculation"]))


def test_a_kind_of_the_answer_is_kin(knowledge: Knowledge) -> None:
    glioblastoma, glioma = "DOID:3073", "DOID:3070"
    assert knowledge.kin(glioblastoma, glioma)
    assert not knowledge.kin(glioblastoma, MIGRAINE)


def test_a_stem_may_not_deny_what_it_states(knowledge: Knowledge) -> None:
    assert not knowledge.compatible("weakness", "ptosis")
    assert not knowledge.compatible("rash", "maculopapular-rash")
    assert knowledge.compatible("itching", "ptosis")


def test_a_disease_without_its_mainstay_gets_no_drug_items(knowledge: Knowledge) -> None:
    assert knowledge.treatable
    for disease in knowledge.treatable:
        have = {knowledge.tables.drugs[drug].drug_class for drug in knowledge.drugs_for(disease)}
        assert set(knowledge.tables.mainstays[disease].classes) <= have


def test_no_withdrawn_or_forbidden_drug_is_used(knowledge: Knowledge) -> None:
    for disease in knowledge.treatable:
        for drug in knowledge.drugs_for(disease):
            entry = knowledge.tables.drugs[drug]
            assert entry.status == "current"
            assert disease not in entry.never_for


def test_route_foils_exclude_every_route_of_the_disease(knowledge: Knowledge) -> None:
    for disease, infection in knowledge.tables.infections.items():
        if infection.route_category:
            assert not knowledge.route_foils(disease) & set(infection.route_category)
