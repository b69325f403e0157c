"""Linking: names found in texts where they stand, and what the text says of them."""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth_kg.builder import Builder
from synth_kg.linking import Lexicon, Matcher, Mention
from synth_kg.linking_names import SALT, other_number, spellings
from synth_kg.linking_text import canonical, keys, originals
from synth_kg.readers.babelon import read_babelon
from synth_kg.readers.files import rows_of
from synth_kg.readers.obo_terms import read_obo_terms
from synth_kg.typed import TypedGraph

pytest.importorskip("ahocorasick_rs")

FINDINGS = (
    "fever", "cough", "chest pain", "shortness of breath", "headache", "nausea", "vomiting", "chills", "rash",
    "pneumonia", "pulmonary embolism", "stroke", "diabetes", "hypertension", "asthma", "seizure", "depression",
    "back pain", "joint pain", "weakness", "asymptomatic", "infection", "breast cancer", "swelling", "migraine",
    "发热", "咳嗽", "乏力", "头痛", "高血压", "糖尿病", "肺炎", "肺结核", "胸闷", "冠心病", "无力", "感染", "气促",
)  # fmt: skip


@pytest.fixture(scope="module")
def findings() -> Matcher:
    return Matcher(Lexicon((number, [name]) for number, name in enumerate(FINDINGS)))


def matcher(*nodes: tuple[str, ...], drugs: frozenset[int] = frozenset()) -> Matcher:
    return Matcher(Lexicon(enumerate(nodes), drugs))


def texts(found: list[Mention]) -> list[str]:
    return [mention.text for mention in found]


# -- what the text says of a mention: n(egated), f(amily), h(istorical), q (hypothetical); '-' is none

PLAIN = r"""
He has fever[-] and cough[-].
No fever[n], cough[n] or chest pain[n].
Patient denies fever[n], chills[n] and vomiting[n].
There is no evidence of pneumonia[n].
Negative for headache[n], nausea[n].
MSK: Negative joint pain[n], negative weakness[n], negative back pain[n].
Presents without rash[n].
Pulmonary embolism[n] was ruled out.
CT ruled out pulmonary embolism[n].
Chest pain[n] is absent.
Rash[n]: none.
Family history of breast cancer[f] and stroke[f].
His mother had diabetes[f] and hypertension[f].
Father died of stroke[f], age 71.
Stroke[f] in his father.
No family history of asthma[nf].
My mom died of breast cancer[f].
History of hypertension[h] and asthma[h].
Past medical history is notable. Status post pneumonia[h].
She had pneumonia[h] two years ago.
As a child he had asthma[h].
Return if fever[q] or vomiting[q] develops.
Should chest pain[q] recur, call us.
She is at risk for stroke[q].
Do you have any chest pain[q]?
Doctor: Any swelling[q] or rash[q]?
Chest x-ray to rule out pneumonia[q].
Possible pneumonia[q] on the left.
Monitor for seizure[q].
患者无发热[n]、咳嗽[n]。
否认高血压[nh]、糖尿病[nh]病史。
未见肺炎[n]征象。
父亲患糖尿病[f]。
家族史：高血压[f]。
既往有肺结核[h]病史。
如出现发热[q]、气促[q]，应及时就诊。
疑似肺炎[q]。
高血压[h]病史10年。
"""

TRAPS = r"""
He no longer has chest pain[nh].
Not only fever[-] but also cough[-].
We cannot rule out pneumonia[q].
Denies any fever[n] but reports cough[-].
His mother denies that the child had fever[n].
Mother reports fever[-] and cough[-].
According to his father, he had a seizure[-].
Her mother, who has asthma[f], brought her.
No fever[n], has cough[-].
No, I have a headache[-].
No improvement in cough[-].
3-day history of fever[-].
History of present illness: cough[-] and fever[-].
Pulmonary embolism[q] cannot be ruled out.
Pneumonia[q] has not been ruled out.
He does not deny chest pain[-].
Migraine[-] with or without nausea[-].
Fever[-] has not resolved.
The rash[nh] has resolved.
He lives with his mother and has asthma[-].
His brother has diabetes[f] and she has hypertension[-].
Mother had stroke[f], the patient has hypertension[-].
He was seen by the family doctor for cough[-].
Nothing to suggest infection[n].
Patient is asymptomatic[-].
Without fever[n]. Cough[-] persists.
No fever[n]\n\nCough[-]
• Denies fever[n]\n• Cough[-]
She has no fever[n] although chills[-] persist.
No chest pain[n] due to pneumonia[-].
Gram negative infection[-].
Seen by Dr. X. for cough[-], no fever[n].
This is a 50-year-old female with asthma[-].
Fever[-] for the past two days.
Past Medical History:\nDiabetes[h]. Asthma[h].\n\nCough[-] today.
FAMILY HISTORY\n\nStroke[f]. Denies asthma[nf].\n\nEXAM\n\nRash[-].
History of asthma[h], now presents with cough[-].
Where is the headache[-]?
How long have you had this cough[-]?
When did you last have any fever[q]?
You do have a fever[-], okay? And a rash[-].
No chest pain[nq] are you having any back pain[q]?
No fever[n] some chills[-].
Not sure if he had a seizure[q].
Call as soon as possible about the rash[-].
He denies he has ever had a seizure[n].
A previously healthy boy with cough[-].
She should take ibuprofen for headache[-].
Risks include but are not limited to infection[q] and stroke[q].
Her headache[nh] was severe but has resolved.
Diabetes[-], for which he had surgery, and asthma[-].
Cough[-] not relieved by rest.
患者无明显诱因出现发热[-]、咳嗽[-]。
无发热[n]，有咳嗽[-]。
不仅发热[-]，还有头痛[-]。
不能排除肺炎[q]。
患者四肢无力[-]。
母亲代诉患儿发热[-]3天。
母亲否认患儿有发热[n]。
否认有发热[n]，但有头痛[-]。
现病史：发热[-]3天，无咳嗽[n]。
咳嗽[-]无好转。
低热或不发热[n]，乏力[-]。
未发热[n]但咳嗽[-]明显。
父亲体健，患者有糖尿病[-]。
核酸阴性，仍发热[-]。
有无头痛[q]？
预防感染[q]。
"""


def marked(lines: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Sentences, and (mention, flags) of each."""
    found = []
    for raw in lines.strip().split("\n"):
        line = raw.replace("\\n", "\n")
        cut = re.findall(r"([^\[\]]*)\[([nfhq-]+)\]", line)
        wanted = [
            (next(name for name in sorted(FINDINGS, key=len, reverse=True) if before.casefold().endswith(name)), flags)
            for before, flags in cut
        ]
        found.append((re.sub(r"\[[nfhq-]+\]", "", line), wanted))
    return found


SENTENCES = [*marked(PLAIN), *marked(TRAPS)]


LETTERS = {"n": "negated", "f": "family", "h": "historical", "q": "hypothetical"}


def flags_of(mention: Mention) -> str:
    return "".join(letter for letter, flag in LETTERS.items() if getattr(mention, flag)) or "-"


@pytest.mark.parametrize(("sentence", "wanted"), SENTENCES, ids=[sentence[:40] for sentence, _ in SENTENCES])
def test_what_a_sentence_says_of_what_it_mentions(
    findings: Matcher, sentence: str, wanted: list[tuple[str, str]]
) -> None:
    found = findings.find(sentence)
    got = [(mention.text.casefold(), "".join(sorted(flags_of(mention)))) for mention in found]
    told = [(name, "".join(sorted(flags))) for name, flags in wanted]
    assert [one for one in got if one[0] in dict(told)] == told
    assert all(mention.asserted == (flags == "-") for mention, (_, flags) in zip(found, got, strict=True))


def test_there_are_enough_sentences_and_half_are_traps() -> None:
    plain, traps = marked(PLAIN), marked(TRAPS)
    assert len(SENTENCES) >= 60 <= 2 * len(traps)
    assert len({sentence for sentence, _ in SENTENCES}) == len(SENTENCES) == len(plain) + len(traps)


def test_a_name_that_holds_a_cue_does_not_negate_itself() -> None:
    found = matcher(("Absent speech",), ("No social interaction",), ("无症状高氨血症",)).find(
        "Absent speech and no social interaction. 无症状高氨血症。"
    )
    assert [flags_of(mention) for mention in found] == ["-", "-", "-"]


def test_a_family_history_that_is_a_name_still_tells_of_what_follows() -> None:
    found = matcher(("Family history of heart disease",), ("Gout",)).find("Family history of heart disease and gout.")
    assert [flags_of(mention) for mention in found] == ["-", "f"]


def test_a_cue_does_not_reach_over_a_whole_dictation(findings: Matcher) -> None:
    between = "and so you are still walking around and doing all of the things that you like to do with"
    (fever, cough, rash) = findings.find(f"no fever {between} cough now no pain, swelling, redness or a rash")[:2] + (
        findings.find("denies pain in the arms or legs, redness of the skin of either arm, itching of it or a rash")
    )
    assert [flags_of(mention) for mention in (fever, cough, rash)] == ["n", "-", "n"]


# -- names


def test_kinds_of_names() -> None:
    found = matcher(
        ("Renal cyst", "Kidney cyst", "RC"),
    ).find("Renal cysts, kidney cyst, RC, RCs, rc.")
    assert [(mention.text, mention.kind) for mention in found] == [
        ("Renal cysts", "plural"), ("kidney cyst", "synonym"), ("RC", "abbreviation"), ("RCs", "plural"),
    ]  # fmt: skip


def test_an_abbreviation_is_taken_only_where_the_source_states_it() -> None:
    stated = matcher(("Chronic obstructive pulmonary disease (COPD)",))
    assert texts(stated.find("COPD, chronic obstructive pulmonary disease, copd")) == [
        "COPD", "chronic obstructive pulmonary disease",
    ]  # fmt: skip
    assert not matcher(("Chronic obstructive pulmonary disease",)).find("COPD")


def test_an_abbreviation_in_a_name_stands_for_its_own_words_only() -> None:
    told = {one.text: one.kind for one in spellings("Elevated serum-ascites albumin gradient (SAAG)", "name")}
    assert told["Elevated SAAG"] == "abbreviation"
    assert told["Elevated serum-ascites albumin gradient"] == "name"
    assert "SAAG" not in told
    assert [one.kind for one in spellings("Fever (high)", "name")] == ["name", "plural"]


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Renal cyst", "Renal cysts"), ("Seizures", "Seizure"), ("Abnormality of the eye", "Abnormalities of the eye"),
        ("Recurrent infections", "Recurrent infection"), ("Crush of the box", "Crushes of the box"),
        ("Aortic stenosis", "Aortic stenoses"), ("Ulcerative colitis", ""), ("Diabetes", ""), ("Abscesses", "Abscess"),
        ("Urinary tract infections, recurrent", "Urinary tract infection, recurrent"), ("COPD", ""), ("糖尿病", ""),
        ("Allergies", "Allergy"), ("Toxic gas in blood", ""), ("Lupus", ""),
    ],
)  # fmt: skip
def test_the_other_number_of_a_name(name: str, other: str) -> None:
    assert other_number(name) == other


def test_capitals_tell_an_abbreviation_from_a_word() -> None:
    leukemia = matcher(("Acute lymphoblastic leukemia", "ALL"))
    assert texts(leukemia.find("After all, he has ALL.")) == ["ALL"]
    assert not leukemia.find("ALL SYSTEMS WERE REVIEWED")
    assert not leukemia.find("All of them")


def test_names_that_tell_nothing_are_left_out_and_counted() -> None:
    lexicon = Lexicon([(0, ["All", "x", "at", "12", "HP:0000001", "痛", "-"]), (1, ["Gout"])])
    assert set(lexicon.entries) == {" gout ", " gouts "}
    assert lexicon.left_out["an identifier"] == 1
    assert sum(lexicon.left_out.values()) >= 6


def test_all_nodes_of_an_ambiguous_name_are_given() -> None:
    (mention,) = matcher(("Heart attack", "MI"), ("Mitral insufficiency", "MI"), ("MI", "thing")).find("Had an MI.")
    assert (mention.nodes, mention.kinds) == ((2, 0, 1), ("name", "abbreviation", "abbreviation"))
    (mention,) = matcher(("Cold", "Colds"), ("Colds",)).find("colds")
    assert (mention.nodes, mention.kinds) == ((1, 0), ("name", "synonym"))


def test_a_salt_names_the_drug_if_nothing_names_the_salt() -> None:
    drugs = matcher(
        ("Metformin",), ("Imatinib",), ("Imatinib mesylate",), ("Fever",), ("Calcium",), drugs=frozenset((0, 1, 2, 4))
    )
    assert [(m.text, m.nodes, m.kind) for m in drugs.find("Metformin hydrochloride 500 mg; metformin HCl.")] == [
        ("Metformin hydrochloride", (0,), "salt"), ("metformin HCl", (0,), "salt"),
    ]  # fmt: skip
    assert [(m.text, m.nodes) for m in drugs.find("imatinib mesylate, imatinib mesilate")] == [
        ("imatinib mesylate", (2,)), ("imatinib mesilate", (1,)),
    ]  # fmt: skip
    assert texts(drugs.find("Fever sodium. Calcium chloride. Metformin sodium-free")) == [
        "Fever", "Calcium", "Metformin sodium",
    ]  # fmt: skip
    assert texts(drugs.find("metformin and sodium; metformin acetaminophen")) == ["metformin", "metformin"]


@pytest.mark.parametrize("salt", ["dihydrochloride monohydrate", "besilate", "sodium phosphate", "hydrogen sulphate"])
def test_salts_by_several_names(salt: str) -> None:
    canon = canonical(salt).text
    found = SALT.match(canon)
    assert found and found.end() == len(canon) - 1


def test_a_graph_gives_its_names_and_its_drugs() -> None:
    builder = Builder()
    origin = builder.origin("s", "1", "CC0")
    drug = builder.node(origin, "drug", "D1", "Warfarin", ["Coumadin", "D:1"])
    disease = builder.node(origin, "disease", "X1", "Thrombosis", ["血栓形成"])
    builder.edge(origin, drug, builder.relation("treats"), disease)
    graph = TypedGraph.of(builder.finish())
    found = Matcher(Lexicon.of(graph)).find("Coumadin or warfarin sodium for thromboses; 血栓形成史.")
    assert [[graph.key(node) for node in mention.nodes] for mention in found] == [
        [("drug", "D1")], [("drug", "D1")], [("disease", "X1")], [("disease", "X1")],
    ]  # fmt: skip
    assert [mention.kind for mention in found] == ["synonym", "salt", "plural", "synonym"]


# -- offsets


@pytest.mark.parametrize(
    "text",
    [
        "He has Crohn\u2019s disease.", "CROHN'S\n DISEASE", "Crohns disease", "Crohn\u2019s\u00a0disease",
        "\uff23rohn's\u2011disease", "Cro\u00adhn's disease", "患者Crohn's disease加重",
        "\U0001f600Crohn's disease\U0001f600",
    ],
)  # fmt: skip
def test_writing_does_not_matter_and_offsets_do(text: str) -> None:
    (mention,) = matcher(("Crohn's disease",)).find(text)
    assert text[mention.start : mention.end] == mention.text
    assert unicodedata.normalize("NFKC", mention.text).casefold().strip("\U0001f600").startswith("cro")
    assert mention.text[-1] in "eE"


def test_accents_and_ligatures() -> None:
    names = matcher(("Sjögren syndrome",), ("Fibrosis",), ("Café-au-lait spot",), ("β-thalassemia",))
    for written in (
        "Sjo\u0308gren syndrome",
        "Sjogren syndrome",
        "\ufb01brosis",
        "cafe\u0301 au lait spots",
        "\u0392-thalassemia",
    ):
        (mention,) = names.find(f"x {written}, y")
        assert mention.text == written
    (mention,) = matcher(("Café",)).find("cafe\u0301!")
    assert mention.text == "cafe\u0301"


def test_a_name_is_whole_words_but_in_chinese() -> None:
    names = matcher(("Rash",), ("Cold sore",), ("发热",), ("T细胞减少",))
    assert texts(names.find("rashness crash cold  sore colds ore rash. 低发热量 T细胞减少 CAR-T细胞减少")) == [
        "cold  sore", "rash", "发热", "T细胞减少", "T细胞减少",
    ]  # fmt: skip


def test_a_name_does_not_go_over_an_empty_line() -> None:
    assert texts(matcher(("Back pain",)).find("back\npain. back\n\npain back\n \npain")) == ["back\npain"]


def test_odd_texts_do_no_harm() -> None:
    names = matcher(("Fever",))
    for text in ("", " ", "\x00", "\ud800fever", "fever" * 3, "\ufffd", "\u0301", "½ ㎎ ﷺ", "한국어 fever"):
        for mention in names.find(text):
            assert text[mention.start : mention.end] == mention.text
    assert texts(names.find("\x00fever\ud800")) == ["fever"]


WORDS = (
    "pain",
    "chest",
    "Chest",
    "back",
    "PAIN",
    "pains",
    "ab",
    "a",
    "热",
    "发",
    "发热",
    "T",
    "-",
    " ",
    ", ",
    "\n",
    "é",
    "e\u0301",
)
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map("".join)
names_of = st.lists(st.lists(words, min_size=1, max_size=2), min_size=1, max_size=6)


def naive(lexicon: Lexicon, text: str) -> list[tuple[int, int]]:
    """Leftmost and longest, by trying every key at every place."""
    canon, found, at = canonical(text), [], 0
    while at < len(canon.text):
        fits = []
        for key, named in lexicon.entries.items():
            start, body = (at - 1, key) if key[0] == " " else (at, key)
            end = at + len(body.strip())
            if start >= 0 and canon.text.startswith(body, start):
                (span,) = originals(text, canon.at, [at], [end])
                written = text[slice(*span)]
                parted = re.search(r"\n[ \t]*\n", written)
                if not parted and any(not one.cased or one.cased == plain(written) for one in named):
                    fits.append((end, span))
        if fits:
            at, span = max(fits)
            found.append(span)
        else:
            at += 1
    return found


def plain(text: str) -> str:
    decomposed = unicodedata.normalize("NFD", text)
    return "".join(char for char in decomposed if not unicodedata.combining(char) and char not in "- \n")


@settings(max_examples=300, deadline=None)
@given(names_of, st.lists(words, max_size=12).map(" ".join))
def test_longest_match_holds_against_a_naive_search(named: list[list[str]], text: str) -> None:
    lexicon = Lexicon(enumerate(named))
    found = Matcher(lexicon).find(text)
    assert [(mention.start, mention.end) for mention in found] == naive(lexicon, text)


@settings(max_examples=300, deadline=None)
@given(names_of, st.text(max_size=60), words)
def test_offsets_point_at_the_matched_text(named: list[list[str]], noise: str, more: str) -> None:
    lexicon = Lexicon(enumerate(named))
    text = f"{noise} {more}{noise}{named[0][0]} {noise}"
    end = 0
    for mention in Matcher(lexicon).find(text):
        assert text[mention.start : mention.end] == mention.text
        assert mention.start >= end
        end = mention.end
        (key,) = keys([mention.text])
        assert set(mention.nodes) <= {one.node for one in lexicon.entries[key]}
        assert len(mention.nodes) == len(mention.kinds) == len(set(mention.nodes))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=40))
def test_the_canonical_form_knows_where_it_came_from(text: str) -> None:
    canon = canonical(text)
    assert len(canon.text) == len(canon.at)
    assert (canon.at[1:] >= canon.at[:-1]).all()
    assert canonical(canon.text).text == canon.text
    assert canonical(unicodedata.normalize("NFC", text)).text == canonical(unicodedata.normalize("NFD", text)).text


# -- real texts


@pytest.fixture(scope="module")
def hpo(shared: Path) -> tuple[TypedGraph, Matcher]:
    builder = Builder()
    read_obo_terms(shared / "ontology" / "hp.obo.gz", builder)
    read_babelon(shared / "ontology" / "hp-zh.babelon.tsv", builder)
    graph = TypedGraph.of(builder.finish())
    return graph, Matcher(Lexicon.of(graph))


def ids(graph: TypedGraph, mention: Mention) -> list[str]:
    return [str(graph.ids[node]) for node in mention.nodes]


def test_hpo_in_english_and_chinese_is_one_node(hpo: tuple[TypedGraph, Matcher]) -> None:
    graph, names = hpo
    found = names.find("Fever, fevers, 发热; COPD not copd; All of it. HP:0001945")
    assert [(mention.text, ids(graph, mention)[0]) for mention in found] == [
        ("Fever", "HP:0001945"), ("fevers", "HP:0001945"), ("发热", "HP:0001945"), ("COPD", "HP:0006510"),
    ]  # fmt: skip


def test_features_of_real_cases_are_linked_to_their_terms(hpo: tuple[TypedGraph, Matcher], shared: Path) -> None:
    graph, names = hpo
    told = {
        (feature["type"]["label"], feature["type"]["id"])
        for path in sorted((shared / "cases" / "phenopackets").glob("*.json"))
        for feature in json.loads(path.read_text(encoding="utf-8")).get("phenotypicFeatures", ())
    }
    known = [
        (label, node)
        for label, ident in sorted(told)
        if (node := graph.number("Phenotype", ident)) is not None
        and label in {str(graph.names[node]), *graph.synonyms[node]}
    ]
    assert len(known) > 0.95 * len(told) > 400  # the others have the label of another release
    for label, node in known:
        assert [m.nodes[0] for m in names.find(f"A: {label}.") if m.text == label] == [node], label


REAL = (
    "The patient has not had any fever[n].  There is no abdominal pain[n] and the patient is still able to pass urine.",
    "No family history[n] of colon cancer[nf].",
    "One brother died of stomach cancer[f] at age 53 and one brother committed suicide.",
    "Positive for diabetes mellitus[f] in his father, who is now deceased.",
    "The patient states the nausea and vomiting[nh] has resolved, but the diarrhea[-] still present, but otherwise "
    "denies any other specific complaints except for some weakness[-].",
    "He endorses nausea and vomiting[-] if he exerts himself.",
    "If his pain[q] does not improve with the orthotics, I will recommend a cortisone injection.",
    "Martha is a 50-year-old female with a past medical history[-] significant for congestive heart failure[h] and "
    "depression[h] who presents for her annual exam.",
    "He reports using ice and heat which did not relieve the pain[-].",
    "轻型患者仅表现为低热[-]、轻微乏力等，无肺炎[n]表现。",
    "注：如患者不发热[nq]则生石膏的用量要小，发热[-]或壮热可加大生石膏用量。",
    "具有发热[-]、呼吸道等症状，影像学可见肺炎[-]表现。",
    "还要与非感染性疾病，如血管炎[q]、皮肌炎[q]等鉴别。",
)


@pytest.mark.parametrize("sentence", REAL, ids=[sentence[:40] for sentence in REAL])
def test_sentences_of_real_notes(hpo: tuple[TypedGraph, Matcher], sentence: str) -> None:
    """Sentences of MTS-Dialog, aci-bench and the Chinese guideline, some shortened, flagged by reading them."""
    _, names = hpo
    wanted = re.findall(r"\[([nfhq-]+)\]", sentence)
    plain_text = re.sub(r"\[[nfhq-]+\]", "", sentence)
    ends, removed = [], 0
    for mark in re.finditer(r"\[[nfhq-]+\]", sentence):
        ends.append(mark.start() - removed)
        removed += len(mark[0])
    found = {mention.end: flags_of(mention) for mention in names.find(plain_text)}
    assert ["".join(sorted(found.get(end, "missing"))) for end in ends] == ["".join(sorted(flags)) for flags in wanted]


def test_whole_notes_keep_their_offsets(hpo: tuple[TypedGraph, Matcher], shared: Path) -> None:
    graph, names = hpo
    paths = [*(shared / "cases" / "aci-bench").glob("*.csv"), *(shared / "cases" / "mts-dialog").glob("*.csv")]
    notes = [cell for path in paths for row in rows_of(path) for cell in row.cells if len(cell) > 200]
    notes += [path.read_text(encoding="utf-8") for path in (shared / "guideline").glob("*.html")]
    flags: dict[str, int] = {}
    for note in notes:
        end = 0
        for mention in names.find(note):
            assert note[mention.start : mention.end] == mention.text
            assert end <= mention.start < mention.end
            assert all(0 <= node < len(graph) for node in mention.nodes)
            end = mention.end
            flags[flags_of(mention)] = flags.get(flags_of(mention), 0) + 1
    assert len(notes) > 300
    assert min(flags["-"], flags["n"], flags["h"], flags["f"], flags["q"]) > 20
