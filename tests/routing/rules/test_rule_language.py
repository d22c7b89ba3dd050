"""What a rule may say, and how everything else is refused: with a position and a cure, never with another error."""

from __future__ import annotations

import ast
import gc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RuleSyntaxError
from protocol.routing.rules.compiler import compile_rule
from protocol.routing.rules.english import english
from protocol.routing.rules.language import LIMIT_CHARACTERS
from protocol.routing.rules.line import one_line
from protocol.routing.rules.nodes import Clause, Either, Logic, Not
from tests.routing.rules.rule_testing import refusal


@pytest.mark.parametrize(
    "text",
    [
        "True",
        "  False ",
        "Modality == 'MR' and contains(StudyDescription, 'cardiac') and SeriesNumber > 100",
        "Modality in ('CT', 'PT') and not 'LOCALIZER' in ImageType",
        "any_image(SliceThickness < 1.5) and count_images() >= 20",
        "SenderAET == 'MR3' or ReceiverAET != 'X'",
        "1 < SeriesNumber <= 10.5 and SliceLocation > -3",
        "lower(StationName) not in ['a', 'b']",
        "first_image(EchoTime) > 10 and all_images(exists(EchoTime)) and missing(PatientID)",
        "count_images('LOCALIZER' in ImageType) == 0",
        "Modality == '#1, not a comment'",
        "Modality == 'MR' and\n  (SeriesNumber > 1\n or\tSeriesNumber < -1)",
    ],
)
def test_the_supported_language_compiles(text: str) -> None:
    assert compile_rule(text).tree.text


def test_names_are_read_in_any_letters_and_kept_canonical_in_place() -> None:
    rule = compile_rule(
        "  modality == 'ä'\nand senderaet=='modality' and EXISTS".replace("EXISTS", "exists(seriesNUMBER)")
    )
    assert rule.text == "  Modality == 'ä'\nand SenderAET=='modality' and exists(SeriesNumber)"
    assert rule.names == ("Modality", "SenderAET", "SeriesNumber")
    assert rule.keywords == ("Modality", "SeriesNumber")


@pytest.mark.parametrize(
    ("text", "position", "says"),
    [
        ("(1).__class__.__bases__", 0, "not part of the rule language"),
        ("Modality.__class__ == 'x'", 0, "not part of the rule language"),
        ("__import__('os').system('id')", 0, "not part of the rule language"),
        ("__import__('os')", 0, "unknown function"),
        ("True and __builtins__ == 1", 9, "unknown name"),
        ("Modality == 'a'*10**9", 12, "calculating"),
        ("2**99999 > 1", 0, "calculating"),
        ("lambda: True", 0, "lambda"),
        ("Modality == f'{Modality}'", 12, "f-string"),
        ("(x := 1) == 1", 1, ":="),
        ("[x for x in Modality] == 1", 0, "comprehension"),
        ("Modality[0] == 'M'", 0, "[ ]"),
        ("Modality == b'M'", 12, "constant"),
        ("Modality == None", 12, "None"),
        ("Modality is 'M'", 0, "`is`"),
        ("Modality == 'MR' # comment", 17, "comment"),
        ("Modality == 'M' # hidden\n and False", 16, "comment"),
        ("Modality in ('CT' 'MR')", 18, "side by side"),
        ("Modality == True", 12, "conditions"),
        ("Modality", 0, "not a condition"),
        ("'MR'", 0, "not a condition"),
        ("1", 0, "not a condition"),
        ("(Modality == 'M') == 'x'", 1, "not a value"),
        ("Modality in ()", 12, "empty list"),
        ("Modality in ('CT', SeriesNumber)", 19, "only numbers and texts"),
        ("SeriesNumber > 10000000000000000000", 15, "too large"),
        ("SeriesNumber > 1e999", 15, "too large"),
        ("PixelData == 1", 0, "binary"),
        ("exists(RequestAttributesSequence)", 7, "sequence"),
        ("exists('Modality')", 7, "needs a name"),
        ("contains(Modality)", 0, "2 values"),
        ("contains(Modality, '')", 19, "a text"),
        ("contains(Modality, 5)", 19, "a text"),
        ("contains(x=Modality, part='a')", 11, "no such argument"),
        ("contains(*Modality)", 9, "no such argument"),
        ("any_image(all_images(True))", 10, "inside another"),
        ("any_image()", 0, "one value"),
        ("Modality == 'ä' and Foo == 'x'", 20, "unknown name 'Foo'"),
        ("True\0", 4, "U+0000"),
        ("True \ud800", 5, "U+D800"),
        ("", 0, "empty"),
        (" \n ", 0, "empty"),
        ("True and", 8, "cannot be read"),
        ("True)", 4, "cannot be read"),
        ("Modality == 'MR", 12, "cannot be read"),
        ("a) or (b", 1, "cannot be read"),
        ("True\\\nFalse", 5, "cannot be read"),
        ("not " * 60 + "True", 160, "nested deeper"),
        ("(" * 300 + "True" + ")" * 300, 200, "nested too deeply"),
        ("not " * 999 + "True", 0, "nested"),
        ("-" * 3990 + "1 == 1", 0, "nested"),
        ("True and " * 1000 + "True", LIMIT_CHARACTERS, "longer than"),
    ],
)
def test_everything_else_is_refused_at_its_place(text: str, position: int, says: str) -> None:
    error = refusal(text)
    assert says in error.reason
    assert error.cure
    if not text.startswith(("not " * 100, "---")):  # where Python itself gives up depends on its version
        assert error.position == position


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("Modalty == 'MR'", "'Modality'"),
        ("modality = 'MR'", "write =="),
        ("Modality == 'MR' AND True", "small letters"),
        ("Modality == 'MR' && True", "and, or"),
        ("Contains(Modality, 'M')", "'contains'"),
        ("Modality.find('M') == 0", "contains(X, 'a')"),
        ("exists", "exists( )"),
    ],
)
def test_the_cure_names_what_was_probably_meant(text: str, cure: str) -> None:
    assert cure in refusal(text).cure


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("text", ["Modality == 'a\\d'", "1in (1, 2)"])
def test_python_prints_no_warning_with_a_piece_of_the_rule(text: str) -> None:
    assert compile_rule(text).tree.text == text


def test_a_rule_of_the_greatest_length_compiles() -> None:
    text = "Modality in (" + "'CT'," * 790 + ")"
    assert len(text) <= LIMIT_CHARACTERS
    assert compile_rule(text).names == ("Modality",)


WORDS = """Modality SeriesNumber StudyDate ImageCount foo tags tags. @Modality@ %Modality% . ( ) [ ] , 'a' "b" '1' 1 -1 1e400
    == != < in not and or if else lambda : := contains exists any_image count_images lower .lower() .startswith( date( float( tag(
    '0019,100C' creator= regex( age() hour() RequestAttributesSequence.CodeValue | & f'{x}' b'x' * ** @ # \\ ' " {} None True
    False é ; tags['Modality'] (tags.Modality) ('a')"""
PIECES = st.sampled_from([*WORDS.split(), "\n", "\t", "\0", "\ud800", "\u202e", "Ｍ"])
WRITTEN = [
    "tags.Modality == 'a'",
    "@Modality@ != ''",
    "(@Modality@) == ''",
    "(tags.SeriesNumber == '1')",
    "@SeriesNumber@ in ('1', '2')",
    "'a' in tags.SeriesNumber",
    "'a' in %SeriesNumber%",
    "tags.Modality.lower().startswith('a')",
    "@SeriesNumber@.strip().startswith( 'a' )",
    "len(@Modality@) == int(tags['SeriesNumber'])",
    "(tags.Modality == 'a') | (True)",
    "'Modality' in tags",
    "tag('0019,100c') == 1",
    "requestattributessequence . codevalue == 'ä'",
    "modality == 'ä'",
]
JOINTS = ["({}) | ({})", "({})&({})", "not ({})", " ( {} )and\n({})", "({}) if ({}) else any_image(True)"]


@st.composite
def pasted(draw: st.DrawFn) -> str:
    def one(depth: int) -> str:
        joint = draw(st.sampled_from(["{}", *JOINTS])) if depth else "{}"
        parts = [
            one(depth - 1) if depth and joint != "{}" else draw(st.sampled_from(WRITTEN))
            for _ in range(joint.count("{}"))
        ]
        return joint.format(*parts)

    return one(draw(st.integers(0, 3)))


@given(st.lists(PIECES, max_size=30).map(" ".join) | st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=60))
def test_no_text_gets_another_error_than_a_rule_syntax_error(text: str) -> None:
    try:
        rule = compile_rule(text)
    except RuleSyntaxError as error:
        assert 0 <= error.position <= len(text)
        assert error.reason
    else:
        assert compile_rule(rule.text).text == rule.text


@given(pasted())
def test_the_canonical_text_means_the_same_and_is_its_own_canonical_text(text: str) -> None:
    rule = compile_rule(text)
    again = compile_rule(rule.text)
    assert again.text == rule.text
    assert again.names == rule.names
    assert english(flat(again.tree)) == english(flat(rule.tree))
    assert "tags" not in rule.text and "|" not in rule.text and "@" not in rule.text


def flat(clause: Clause) -> Clause:
    """`a or b or c` is one clause of three, (a | b) | c one within another; they mean the same."""
    match clause:
        case Logic(operator=operator, clauses=clauses):
            parts: list[Clause] = []
            for one in map(flat, clauses):
                parts += one.clauses if isinstance(one, Logic) and one.operator == operator else (one,)
            return Logic("", operator, tuple(parts))
        case Not(clause=inner):
            return Not("", flat(inner))
        case Either(clause=decides, chosen=chosen, other=other):
            return Either("", flat(decides), flat(chosen), flat(other))
    return clause


class Garbage:
    """Ends with Python reading some text, as a traceback that is logged does, and with more garbage."""

    more = True

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        def down(levels: int) -> None:
            if levels:
                down(levels - 1)
            else:
                ast.parse("1 + 1")

        down(20)
        if self.more:
            Garbage()


def test_a_rule_is_read_whatever_the_garbage_collector_ends_in_the_meantime() -> None:
    text = " or ".join(f"SeriesNumber == {number}" for number in range(40))
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        Garbage()
        for _ in range(20):
            compile_rule(text)
    finally:
        gc.set_threshold(*before)
        Garbage.more = False
    assert gc.isenabled()


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" Modality  ==\r\n 'MR' ", "Modality == 'MR'"),
        ("SeriesDescription == 'ANGIO Projected from   C'", "SeriesDescription == 'ANGIO Projected from   C'"),
        ("StudyDescription  ==  \"it's   one\"  and\tNumberOfFrames > 1", "StudyDescription == \"it's   one\" and NumberOfFrames > 1"),
        ("StudyDescription == 'a\\'  b'   or True", "StudyDescription == 'a\\'  b' or True"),
        ("Modality ==  'MR  x", "Modality == 'MR  x"),
        ("Modality == 'a\r\nb\n\tc'", "Modality == 'a b  c'"),
        ("Modality ==  'a\\", "Modality == 'a\\"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_rule_is_kept_on_one_line_and_what_stands_in_quotes_stays(typed, kept) -> None:
    assert one_line(typed) == kept == one_line(kept)


@given(
    st.lists(st.sampled_from(["Modality", "==", "'a  b'", "and", "  ", "\n", '"x \t y"', "contains(", "'", "\\", ")"]))
)
def test_one_line_never_changes_what_a_rule_says(parts: list[str]) -> None:
    text = "".join(parts)
    try:
        said = english(compile_rule(text).tree)
    except RuleSyntaxError:
        return
    assert english(compile_rule(one_line(text)).tree) == said
