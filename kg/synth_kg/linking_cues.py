"""Whether a clinical text asserts what it mentions: negation, family, history, hypotheses.

Cues reach forward or back over a sentence until something ends their scope, in the manner of NegEx (Chapman et al.,
J Biomed Inform 2001;34:301) and ConText (Harkema et al., J Biomed Inform 2009;42:839); longer cues go before
shorter ones, so that 'not only' is none. The lists are this project's own, for English and Chinese.

What a cue says of a mention:

    negated         it is said not to be there
    family          it is someone else's: a relative's
    historical      it was there before, or has gone
    hypothetical    it is asked, feared, looked for or warned of, and neither stated nor denied
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from typing import Literal, NamedTuple

import numpy as np

from synth_kg.linking_text import UNSPACED, Canonical, Patterns, keys

Flag = Literal["negated", "family", "historical", "hypothetical"]
Way = Literal["after", "before"]
Span = tuple[int, int]


class Effect(NamedTuple):
    """What a cue does to the mentions on one side of it."""

    flag: Flag
    way: Way
    reach: int | None = None
    """Words between at most, in Chinese characters, and no comma; None: to the end of the scope."""
    far: bool = False
    """Whether it reaches over a Chinese comma."""


class Cue(NamedTuple):
    """A phrase and what it does."""

    effects: tuple[Effect, ...] = ()
    ends: frozenset[Flag] = frozenset()
    """Scopes that end here."""
    kin: str = ""
    """'she', 'he' or 'they' where it is a relative."""


class Found(NamedTuple):
    """A cue in a text."""

    start: int
    end: int
    cue: Cue
    chinese: bool


# fmt: off
_ENGLISH: tuple[tuple[str, tuple[Effect, ...]], ...] = (
    ("""no|not|without|w / o|never|neither|nor|cannot|didnt|doesnt|dont|hasnt|havent|hadnt|wasnt|werent|isnt|arent|
     did nt|does nt|do nt|has nt|have nt|had nt|was nt|were nt|is nt|are nt|aint|
     deny|denies|denied|denying|denial of|negative for|tested negative for|tests negative for|absence of|lack of|
     lacks|lacking|free of|free from|freedom from|no evidence of|no sign of|no signs of|no complaint of|
     no complaints of|no report of|no reports of|no history of|no known|no more|no further|
     not have|not had|not having|not has|rather than|instead of|ruled out|rules out|ruled out for|excludes|
     has not noted|have not noted|had not noted|has not noticed|have not noticed|had not noticed|has not seen|
     have not seen|has not reported|have not reported|had not reported|fails to reveal|failed to reveal|
     failed to show|nothing to suggest|nothing suggestive of|not significant for|not notable for|
     not remarkable for|unremarkable for|has not shown|have not shown|has not revealed|have not revealed|
     has not demonstrated|no symptoms suggestive of|no suggestion of""",
     (Effect("negated", "after"),)),
    ("absent|negative", (Effect("negated", "after", 2),)),
    ("""was ruled out|were ruled out|is ruled out|are ruled out|been ruled out|ruled out .|ruled out ,|ruled out by|
     ruled out with|ruled out on|ruled out and|was excluded|were excluded|is excluded|been excluded|excluded .|
     is negative|are negative|was negative|were negative|came back negative|returned negative|negative .|negative ,|
     not present|not seen|not observed|not found|not noted|not identified|not detected|not demonstrated|
     not appreciated|not evident|not apparent|not visualized|not confirmed|not reported|not endorsed|not elicited|
     is absent|are absent|was absent|were absent|absent .|absent ,|is denied|are denied|was denied|were denied|
     denied .|denied ,|: no .|: none|: denied .|: denies .|: negative .|: absent .|none seen|none noted|
     none reported|which was negative|which were negative|both of which were negative|which was ruled out|
     which were ruled out|( )""",
     (Effect("negated", "before"),)),
    ("no longer|not any longer|stopped having|stopped getting",
     (Effect("negated", "after"), Effect("historical", "after"))),
    ("""has resolved|have resolved|had resolved|now resolved|is resolved|are resolved|was resolved|has since resolved|
     have since resolved|resolved .|resolved ,|resolved with|resolved after|resolved on|resolved by|has gone|
     has gone away|have gone away|went away|is gone|are gone|has subsided|have subsided|has cleared|
     no longer present|which has resolved|which have resolved|which had resolved|which has now resolved|
     which resolved|which has since resolved|but resolved|but has resolved|but have resolved|but now resolved|
     but has since resolved|but this has resolved|but this resolved""",
     (Effect("negated", "before"), Effect("historical", "before"))),
    ("resolved", (Effect("negated", "after", 2), Effect("historical", "after", 2))),
    ("""history of|history significant for|history notable for|history remarkable for|history includes|
     history including|history positive for|histories of|hx of|hx|h / o|past history|past medical history|
     past medical history of|past medical history significant for|past medical history notable for|
     past medical history includes|medical history|medical history of|medical history significant for|pmh|pmhx|
     surgical history|past surgical history|status post|s / p|recovered from|used to have|used to get|
     used to suffer from|in the past had|background of|known history of""",
     (Effect("historical", "after"),)),
    ("previous|prior|remote|past|childhood|former|old|previously|formerly", (Effect("historical", "after", 4),)),
    ("years ago|year ago|months ago|month ago|decades ago|last year", (Effect("historical", "before", 8),)),
    ("""in childhood|as a child|as a kid|as an infant|
     as a teenager|in his youth|in her youth|in the past|in infancy|in remission""",
     (Effect("historical", "before"),)),
    ("when i was a kid|when i was a child|when he was a child|when she was a child|as a child|years ago",
     (Effect("historical", "after"),)),
    ("family history|family history of|fam hx|fhx|familial history|family medical history|family hx|runs in my family",
     (Effect("family", "after"),)),
    ("""in the family|in his family|in her family|in my family|in the patients family|runs in the family|
     run in the family|runs in my family|run in my family|runs in his family|runs in her family|maternal side|
     paternal side|mothers side|fathers side""",
     (Effect("family", "before"),)),
    ("family history", (Effect("family", "before", 0),)),
    ("""if|in case|in case of|should you|should he|should she|should they|should the|should this|should his|
     should her|should your|should there|should any|should it|should symptoms|risks of|risks include|risk include|
     risks including|risk of|risk for|at risk of|at risk for|risk factor for|risk factors for|
     to prevent|prevent|prevents|prevention of|preventing|prophylaxis|prophylaxis for|to avoid|watch for|watch out for|
     monitor for|monitoring for|monitored for|look for|looking for|look out for|looked for|screen for|screening for|
     screened for|evaluate for|evaluated for|evaluation for|assess for|assessed for|test for|tested for|
     rule out|to rule out|r / o|cannot rule out|can not rule out|cant rule out|ca nt rule out|could not rule out|
     couldnt rule out|unable to rule out|not rule out|cannot exclude|can not exclude|cant exclude|could not exclude|
     not exclude|to exclude|not ruled out|yet to rule out|suspicious for|suspicious of|suspicion of|suspicion for|
     suspect|suspects|suspected|suspecting|concern for|concerns for|concern of|concerning for|concerned for|
     concerned about|worried about|worry about|worrisome for|fear of|possibility of|
     potential for|may have|might have|may be|might be|could be|could have|may represent|might represent|
     could represent|may develop|might develop|could develop|can cause|may cause|might cause|could cause|can lead to|
     may lead to|whether|whether or not|unless|return for|return with|differential diagnosis|
     differential diagnosis includes|differential diagnoses|differential includes|possibly|as needed for|prn for|
     not sure if|not sure whether|not certain if|not certain whether|unsure if|dont know if|ask about|asked about|
     inquired about|in the event of|signs of possible|do you have|have you had|did you have|are you having|
     have you noticed|any chance of|okay any|alright any|alright and any|okay and any|how about|what about|versus|vs""",
     (Effect("hypothetical", "after"),)),
    ("possible|potential|probable|likely|unlikely|suspected|question of|questionable",
     (Effect("hypothetical", "after", 4),)),
    ("should", (Effect("hypothetical", "after", 0),)),
    ("""cannot be ruled out|can not be ruled out|cant be ruled out|could not be ruled out|not be ruled out|
     not been ruled out|not yet ruled out|not ruled out .|not ruled out ,|not yet been ruled out|not been excluded|
     not yet been excluded|cannot be excluded|can not be excluded|could not be excluded|cant be excluded|
     not be excluded|not excluded|to be ruled out|should be ruled out|must be ruled out|needs to be ruled out|
     need to be ruled out|be excluded|is possible|is unlikely|are unlikely|is suspected|was suspected|are suspected|
     is considered|were considered|was considered|should be considered|is a concern|is a possibility|may occur|
     might occur|can occur|could occur""",
     (Effect("hypothetical", "before"),)),
)
_NOT_CUES = """
    not only|not just|not merely|not simply|not necessarily|not certain|not sure|not limited to|not without|no doubt|
    no question|without doubt|without question|without a doubt|no ,|no change|no changes|no change in|no changes in|
    no interval change|no interval change in|no significant change|no significant change in|no increase|
    no increase in|no decrease|no decrease in|no improvement|no improvement in|no relief of|no relief from|
    no worsening of|without improvement|without improvement in|without improvement of|without change in|
    without relief of|without relief from|not improved|not improving|not improve|not resolved|not resolve|
    has not resolved|have not resolved|has not gone|not gone away|not go away|not better|not worse|not worsened|
    not relieved|not controlled|not well controlled|not changed|not completely|not fully|not entirely|not quite|
    not respond to|not responding to|not responsive to|not due to|not because of|not caused by|not secondary to|
    not related to|does not deny|doesnt deny|do not deny|did not deny|didnt deny|not deny|not denying|not denied|
    cannot deny|not relieve|not help|not help with|no help|no help with|not affect|not effective|not effective for|
    not control|not alleviate|not tolerate|not treat|not treated|not treated for|not taking anything for|
    not taken anything for|with or without|and or without|regardless of|no matter|no sooner|no less than|no more than|
    no other|gram negative|hiv negative|rh negative|false negative|negative pressure|negative feedback|
    negative symptoms|negative attitude|history of present illness|history of the present illness|
    history of presenting illness|history of presenting complaint|present medical history|natural history|
    history and physical|history taking|how long have you had|how long have you been having|how often do you have|
    how often do you get|longstanding history of|long standing history of|long history of|lifelong history of|
    no different|previously healthy|previously well|but not limited to|but are not limited to|but is not limited to|
    include but not limited to|including but not limited to|smoking history|social history|past due|past the|prior to|
    prior authorization|previous to|old male|old female|old man|old woman|old boy|old girl|year old|years old|
    month old|day old|week old|older|as soon as possible|if possible|as if|as possible|as likely|if any|even if|
    should be fine|should improve|should resolve|not likely to be|zero to|no one|family doctor|family physician|
    family medicine|family practice|family planning|family members present|may be due to|might be due to|
    free of charge|feel free|non productive|has never been better|never better|old records|prior records|prior visit|
    previous visit|prior notes|past week|past few|past several|past day|past days|past two|past three|past four|
    past five|past six|past month|past year|past couple|past 1|past 2|past 3|past 4|past 5|past 6|past 7|past 10|
    past 24|past 48|over the past|for the past|in the past week|in the past month|in the past few|in the past several|
    in the past day|in the past two|in the past three|in the past 2|in the past 3|in the past 24|in the past couple|
    not able to sleep|so not|why not|if not
"""
_DURATIONS = ("day", "days", "week", "weeks", "wk", "month", "months", "mo", "hour", "hours", "hr", "year", "years")
_ENDS: tuple[tuple[Flag, str], ...] = (
    ("negated", """but|however|although|though|except|except for|except that|with the exception of|apart from|
     aside from|besides|other than|nevertheless|nonetheless|yet|still|reports|reporting|reported|complains of|
     complaining of|complained of|complains|presents with|presented with|presenting with|presents|presented|endorses|
     endorsing|endorsed|admits|admits to|admitted to|positive for|notes|states that|and has|and had|, has|, had|
     , with|and is|and was|and developed|, developed|then developed|which|he has|she has|he had|she had|
     patient has|patient had|patient does|they have|i have|i do have|i had|i did have|he does have|she does have|
     does have|did have|do have|does report|does endorse|does note|does complain|
     are you|are you having|do you|do you have|have you|have you had|have you noticed|did you|did you have|
     some|just|ive had|ive been|i get|you do have|you have|due to|secondary to|
     because of|caused by|as a cause of|cause of|causes of|source of|reason for|etiology of|as well as has|
     while|whereas|positive|is positive|was positive|is present|are present|was present|were present|likely due to|
     showed|shows|revealed|reveals|demonstrated|demonstrates|confirmed|is significant for|
     significant for|notable for|remarkable for|and reports|and endorses|only"""),
    ("historical", """but|however|now|now with|currently|today|presents|presents with|presented|presented with|
     presenting with|who presents|who presented|comes in|came in|is here|here for|here with|at present|this morning|
     complains of|complaining of|reports|is admitted|was admitted|who is admitted|admitted for|admitted with|
     has been having|currently has|now has|now presents|recently|new onset|has new|denies|denied|and has|he has|
     she has|which|has developed|developed|since then"""),
    ("family", """patient|the patient|he himself|she herself|the child|the infant|the baby|the boy|the girl|
     patient himself|patient herself|personally|proband|his own|her own"""),
    ("hypothetical", """but|however|then|otherwise|although|though|denies|he has|she has|patient has|is confirmed|
     was confirmed|confirmed|and has|currently has|because|since"""),
)
_KIN = {
    "she": """mother|mom|mum|mommy|sister|sisters|aunt|aunts|grandmother|grandma|wife|maternal aunt|paternal aunt|
     maternal grandmother|paternal grandmother|niece|stepmother|half sister""",
    "he": """father|dad|daddy|brother|brothers|uncle|uncles|grandfather|grandpa|husband|maternal uncle|paternal uncle|
     maternal grandfather|paternal grandfather|nephew|stepfather|half brother""",
    "they": """parent|parents|sibling|siblings|grandparents|cousin|cousins|relative|relatives|family member|
     family members|first degree relative|first degree relatives|spouse|his son|her son|his daughter|her daughter|
     his children|her children|twin brother|twin sister""",
}
_OF_THE_PATIENT = ("", " of the patient", " of patient", " of this patient")
_WHOSE = (
    "", "the ", "his ", "her ", "their ", "my ", "a ", "the patients ", "patients ", "one ", "both ", "distant ",
    "several ", "multiple ", "other ", "some ",
)
_TELLS = re.compile(
    r" (?:(?:also|further|additionally|who|and|has|had|is|was|does|did|then|just|initially|his|her|father|mother) )*"
    r"(?:reports?|reported|reporting|states?|stated|den(?:y|ies|ied|ying)|notes?|noted|notices?|noticed|says?|said|"
    r"tells?|told|describes?|described|thinks?|thought|believes?|believed|feels that|felt that|worried|worries|"
    r"concerned|brings?|brought|gives?|gave|called|calls|mentions?|mentioned|complains|complained|endorses?|endorsed|"
    r"admits?|asks?|asked|present|at bedside|accompanied|states that|observed|recalls?|confirms?|confirmed|claims?|"
    r"claimed|requests?|requested) "
)
_TOLD_BY = re.compile(
    r" (?:per|by|to|from|told|with|accompanied by|according to|lives with)"
    r" (?:(?:his|her|the|my|their|patients|childs|both|foster) )*$"
)

_CHINESE: tuple[tuple[str, tuple[Effect, ...]], ...] = (
    ("""无|没有|没|未见|未闻及|未触及|未及|未扪及|未发现|未出现|未诉|未述|未发生|未患|未患有|未再|未检出|未提示|未伴|未曾|
     未有|不伴|不伴有|否认|否认有|否认患儿有|否认患者有|否认其有|否认孩子有|否认曾有|否认曾患|并无|均无|从无|从未|尚无|暂无|亦无|也无|无明显|无任何|未见明显|
     无既往|排除了|已排除|未合并|无合并|不存在|不具有""",
     (Effect("negated", "after"),)),
    ("不|未|非", (Effect("negated", "after", 0),)),
    ("阴性|均阴性|呈阴性|为阴性|被排除|已排除|均无|均未见|均否认|不明显|未见|缺如",
     (Effect("negated", "before"),)),
    ("已消失|消失|已缓解|已消退|消退|已愈|已治愈|治愈|痊愈|已痊愈|已恢复",
     (Effect("negated", "before"), Effect("historical", "before"))),
    ("不再|不再有|未再出现|未再发", (Effect("negated", "after"), Effect("historical", "after"))),
    ("既往|既往有|既往史|曾|曾有|曾经|曾患|曾患有|过去有|过去曾|年前|个月前|月前|幼年|幼时|小时候|儿时",
     (Effect("historical", "after"),)),
    ("病史|史|既往史|术后|年前", (Effect("historical", "before"),)),
    ("家族史|家族中|家族内|家族中有|家中有", (Effect("family", "after", far=True),)),
    ("家族史|家族病史|家族遗传史", (Effect("family", "before"),)),
    ("""如果|如有|如出现|如发生|如患|如患者|如再|如仍|如伴有|若|若有|若出现|倘若|假如|一旦|万一|可能|可能有|可能为|可能出现|可疑|疑似|怀疑|疑|警惕|
     预防|避免|防止|以防|以免|风险|是否|是否有|有无|排查|筛查|不能排除|不能除外|不排除|不除外|无法排除|不能完全排除|
     未排除|尚未排除|未能排除|难以排除|除外|需排除|以排除|以除外|鉴别|注意观察""",
     (Effect("hypothetical", "after"),)),
    ("""待排|待排除|待除外|待查|待定|可能|可能性大|可能性|不能排除|不能除外|不排除|不除外|无法排除|尚未排除|待鉴别|
     的风险|风险|相鉴别|鉴别|吗""",
     (Effect("hypothetical", "before"),)),
)
_CHINESE_NOT_CUES = """
    无明显诱因|无明确诱因|无诱因|无明显原因|无力|无论|无法|无效|无创|无菌|无机|无意|无缓解|无好转|无改善|无减轻|无变化|
    无明显变化|无明显好转|无明显缓解|无明显改善|未缓解|未见缓解|未好转|未见好转|未改善|未见改善|未减轻|未治疗|未控制|未予|
    未明|未愈|未痊愈|未消失|未完全|不明原因|原因不明|诱因不明|病因不明|不仅|不但|不只|不止|不仅仅|不明|不清|不足|不全|不良|
    不稳|不适|不佳|不规则|不得不|无不|非常|非典型|除非|无疑|不否认|并不否认|未否认|
    现病史|历史|个人史|月经史|婚育史|婚姻史|生育史|接触史|旅行史|旅居史|居住史|流行病学史|预防接种史|接种史|天病史|
    周病史|日病史|病史摘要|病史采集|史密斯|例如|如下|如上|如图|如前|如常|如期|如此|比如|诸如|譬如|尽可能|犹如|若干|
    家族性|没收|非特异性|非甾体|不孕
"""
_CHINESE_ENDS: tuple[tuple[Flag, str], ...] = (
    ("negated", "但|但是|但有|然而|而|却|仅有|仅|仍有|仍|伴有|出现|现|可见|诉|自诉|有|存在|因|考虑|除|并有|并出现"),
    ("historical", "现|目前|此次|本次|近日|近期|今日|今|入院|就诊|因|但|出现"),
    ("family", "患者|患儿|本人|自己|病人|先证者"),
    ("hypothetical", "但|但是|现|目前|则|应|确诊|诊断为"),
)
_CHINESE_KIN = """
    父亲|母亲|其父|其母|父母|父|母|兄弟|姐妹|兄弟姐妹|哥哥|弟弟|姐姐|妹妹|祖父|祖母|外祖父|外祖母|爷爷|奶奶|外公|外婆|
    家人|家属|亲属|配偶|丈夫|妻子|叔叔|舅舅|姑姑|姨妈|爸爸|妈妈
"""
_CHINESE_NOT_KIN = "母乳|分母|祖父母|养父母|父母亲|酵母|子母|航母|母体|母婴|云母|母细胞|母斑"
_CHINESE_TELLS = re.compile(
    r" ?(?:代|均|也|还|又|补充)?(?:诉|述|称|说|否认|发现|反映|告知|补充|陪|带|送|认为|主诉|要求|担心)"
)
_CHINESE_TOLD_BY = re.compile(r"(?:由|被|与|和|据|向|经|及)(?:患者|患儿|其|他|她|我)?(?:的)?$")
# fmt: on

_SOMEONE_ELSE = {
    who: re.compile(f" (?:{words}) ") for who, words in (("she", "he|his|i"), ("he", "she|her|i"), ("they", "i"))
}
"""After a relative: words that speak of someone else."""

_ITS_FAMILY = (Effect("family", "after"),)
_BREATH = 15
"""Words without a mark between, as in dictated text that has none, over which no cue reaches."""
_MARKS = re.compile(r" [^\w\s] ")

_TITLES: dict[str, Flag] = {
    **dict.fromkeys(("family history", "family medical history", "fam hx", "fhx", "家族史", "家族病史"), "family"),
    **dict.fromkeys(("past medical history", "past history", "pmh", "pmhx", "既往史", "既往病史"), "historical"),
    **dict.fromkeys(("past surgical history", "surgical history"), "historical"),
}
_HEADING = re.compile(r"^[ \t]*(?:[•*-][ \t]*)?([A-Za-z][A-Za-z/&, ]{1,50}|[一-鿿]{2,8})[ \t]*([:：]|$)", re.MULTILINE)
_BREAK = re.compile(r"[.!?;…](?=[\s\"'\u201d\u2019)\]]|$)|[。！？；]|\n")
_BEFORE_A_POINT = re.compile(r"(?:\b(?:dr|mr|mrs|ms|vs|e\.g|i\.e|approx|st|pt|wt|ht)|\b[A-Za-z])$", re.IGNORECASE)
EMPTY_LINE = re.compile(r"\n[ \t\r]*\n")
_TAG = re.compile(r"\b(?:ok|okay|alright|all right)\s*$", re.IGNORECASE)
_TAKEN_AS_GIVEN = re.compile(
    r"\bhow(?: (?:long|often|bad|severe|much|intense|many times)\b|['\u2019]?(?:s|ve)\b| (?:is|was|are|has|have)\b)|"
    r"\b(?:where|when|why|what kind|which)\b",
    re.IGNORECASE,
)
_ANY = re.compile(r"\bany(?:thing)?\b", re.IGNORECASE)
_WRAPPED = re.compile(r"[ \t\r]*[a-z]")


def _phrases(text: str) -> list[str]:
    return [" ".join(part.split()) for part in text.split("|")]


def _told() -> Iterator[tuple[str, Cue]]:
    """Every phrase and what it does; one that occurs again does all of it."""
    for text in (_NOT_CUES, _CHINESE_NOT_CUES, _CHINESE_NOT_KIN):
        yield from ((phrase, Cue()) for phrase in _phrases(text))
    for unit, what in product(_DURATIONS, ("history of", "hx of", "h / o", "history")):
        yield f"{unit} {what}", Cue()
    for text, effects in (*_ENGLISH, *_CHINESE):
        yield from ((phrase, Cue(effects)) for phrase in _phrases(text))
    for flag, text in (*_ENDS, *_CHINESE_ENDS):
        yield from ((phrase, Cue(ends=frozenset((flag,)))) for phrase in _phrases(text))
    relatives = [(phrase, who) for who, text in _KIN.items() for phrase in _phrases(text)]
    for denies, that, who, has in product(
        ("denies", "denied", "denying"), ("", "that "), ("he", "she"), ("has", "had")
    ):
        yield f"{denies} {that}{who} {has}", Cue((Effect("negated", "after"),))
    for (phrase, who), whose in product(relatives, _OF_THE_PATIENT):
        yield f"{phrase}{whose}", Cue((Effect("family", "after"),), kin=who)
    for before, whose, (phrase, _) in product(("in", "on", "affected", "("), _WHOSE, relatives):
        yield f"{before} {whose}{phrase}", Cue((Effect("family", "before"),))
    for phrase in _phrases(_CHINESE_KIN):
        yield phrase, Cue((Effect("family", "after", far=True),), kin="they")


@cache
def _cues() -> tuple[Patterns, tuple[Cue, ...]]:
    """Every cue by its canonical key."""
    told = list(_told())
    cues: dict[str, Cue] = {}
    for key, (_, cue) in zip(keys([phrase for phrase, _ in told]), told, strict=True):
        known = cues.get(key, cue)
        effects = tuple(dict.fromkeys((*known.effects, *cue.effects)))
        cues[key] = Cue(effects, known.ends | cue.ends, known.kin or cue.kin)
    return Patterns(cues), tuple(cues.values())


def leftmost(found: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """Of overlapping (start, end, what), those that begin first, and of these the longest."""
    free = 0
    for start, end, what in sorted(found, key=lambda one: (one[0], -one[1], one[2])):
        if start >= free:
            yield start, end, what
            free = end


def judge(text: str, canon: Canonical, mentions: Sequence[Span]) -> list[frozenset[Flag]]:
    """What is said of mentions.

    Args:
        text: as it was written.
        canon: its canonical form.
        mentions: (start, end) of each in the canonical form, in order and apart from each other.

    Returns:
        The flags of each.
    """
    if not mentions:
        return []
    flags: list[set[Flag]] = [set() for _ in mentions]
    starts = [start for start, _ in mentions]
    for flag, (begin, end) in _sections(text, canon):
        for number in range(bisect_left(starts, begin), bisect_left(starts, end)):
            flags[number].add(flag)
    found = _found(canon, mentions)
    places = [one.start for one in found]
    begin = 0
    for end, asked in _sentences(text, canon):
        inside = range(bisect_left(starts, begin), bisect_left(starts, end))
        if inside:
            if asked:
                for number in inside:
                    flags[number].add("hypothetical")
            within = found[bisect_left(places, begin) : bisect_left(places, end)]
            _sentence(canon.text, within, mentions, inside, (begin, end), flags)
        begin = end
    return [frozenset(one) for one in flags]


def _found(canon: Canonical, mentions: Sequence[Span]) -> list[Found]:
    """The cues of a text.

    Some of a mention's words are none ('absent speech'), but all of them may be ('past medical history'), and so
    are those with which a 'family history of heart disease' begins.
    """
    patterns, cues = _cues()
    starts, ends = [start for start, _ in mentions], [end for _, end in mentions]
    apart = []
    for start, end, which in patterns.find(f"{canon.text}. "):
        first, last = bisect_right(ends, start), bisect_left(starts, end) - 1
        if first > last or (start <= starts[first] and (ends[last] <= end or cues[which].effects == _ITS_FAMILY)):
            apart.append((start, end, which))
    return [
        Found(start, end, cues[which], UNSPACED.match(patterns.names[which]) is not None)
        for start, end, which in leftmost(apart)
    ]


def _sentence(
    text: str, found: Sequence[Found], mentions: Sequence[Span], inside: range, bounds: Span, flags: list[set[Flag]]
) -> None:
    """Apply the cues of a sentence to its mentions, which are those numbered `inside`."""
    for place, one in enumerate(found):
        if one.cue.kin and _informant(text, one):
            continue
        for effect in one.cue.effects:
            low, high = _scope(text, found, place, effect, bounds)
            for number in inside:
                start, end = mentions[number]
                between = text[one.end : start] if effect.way == "after" else text[end : one.start]
                if low <= start and end <= high and _within(between, effect, one):
                    flags[number].add(effect.flag)


def _scope(text: str, found: Sequence[Found], place: int, effect: Effect, bounds: Span) -> Span:
    """From where to where an effect of a cue may reach."""
    one = found[place]
    if effect.way == "before":
        ended = [other.end for other in found[:place] if effect.flag in other.cue.ends]
        return max(ended, default=bounds[0]), one.start
    ended = [other.start for other in found[place + 1 :] if effect.flag in other.cue.ends]
    high = min(ended, default=bounds[1])
    if one.cue.kin and (other := _SOMEONE_ELSE[one.cue.kin].search(text, one.end, high)):
        high = other.start()
    return one.end, high


def _within(between: str, effect: Effect, one: Found) -> bool:
    """Whether an effect reaches over what lies between."""
    if one.chinese:
        near = effect.reach is None or len(between.replace(" ", "")) <= effect.reach
        return near and (effect.far or "," not in between)
    if effect.reach is None:
        return len(between) < 3 * _BREATH or all(part.count(" ") < _BREATH for part in _MARKS.split(between))
    return between.count(" ") - 1 <= effect.reach and "," not in between


def _informant(text: str, one: Found) -> bool:
    """Whether a relative is there to tell of the patient."""
    before = text[max(0, one.start - 40) : one.start]
    if one.chinese:
        return _CHINESE_TELLS.match(text, one.end) is not None or _CHINESE_TOLD_BY.search(before.rstrip()) is not None
    return _TELLS.match(text, one.end) is not None or _TOLD_BY.search(before) is not None


def _sentences(text: str, canon: Canonical) -> Iterator[tuple[int, bool]]:
    """Where each sentence ends in the canonical form, and whether it asks for what it mentions."""
    breaks = [one for one in _BREAK.finditer(text) if _parts(text, one)]
    ends = np.searchsorted(canon.at, np.array([one.end() for one in breaks], np.int64)).tolist()
    begin = 0
    for one, end in zip(breaks, ends, strict=True):
        yield end, one[0] in {"?", "？"} and _asks(text[begin : one.start()])
        begin = one.end()
    yield len(canon.text), False


def _asks(sentence: str) -> bool:
    """Whether a question leaves open what it mentions: 'where is the pain' and 'you have a fever, okay' do not."""
    return not _TAG.search(sentence) and (not _TAKEN_AS_GIVEN.search(sentence) or _ANY.search(sentence) is not None)


def _parts(text: str, one: re.Match[str]) -> bool:
    """Whether a mark ends a sentence: a point after 'Dr' does not, nor a line end in the middle of one."""
    if one[0] == ".":
        return _BEFORE_A_POINT.search(text, max(0, one.start() - 8), one.start()) is None
    return one[0] != "\n" or _WRAPPED.match(text, one.end()) is None


def _sections(text: str, canon: Canonical) -> Iterator[tuple[Flag, Span]]:
    """Parts of a note under a heading that says something of all that stands there."""
    headings = []
    for one in _HEADING.finditer(text):
        title = one[1].strip()
        if title.isupper() or one[2] or title.casefold() in _TITLES:
            headings.append((one.start(), one.end(), title, not one[2]))
    for place, (_, begin, title, alone) in enumerate(headings):
        flag = _TITLES.get(title.casefold())
        if flag is None:
            continue
        above = alone and title.isupper()
        ends = [
            start
            for start, _, other, on_its_own in headings[place + 1 :]
            if not above or (on_its_own and other.isupper())
        ]
        end = min(ends, default=len(text))
        if not above and (gap := EMPTY_LINE.search(text, begin + 1, end)):
            end = gap.start()
        low, high = np.searchsorted(canon.at, np.array([begin, end])).tolist()
        yield flag, (low, high)
