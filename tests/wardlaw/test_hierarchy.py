import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardlaw.vocabulary.hierarchy import encodings, is_reserved, join_units


@pytest.mark.parametrize(
    ("code", "units"),
    [
        ("DIAGNOSIS//ICD//10//I10", ("DIAGNOSIS//ICD//10//I10",)),
        ("DIAGNOSIS//ICD//10//I5021", ("DIAGNOSIS//ICD//10//I50", "+ICD10CM//1//21")),
        ("DIAGNOSIS//ICD//10//I50.21", ("DIAGNOSIS//ICD//10//I50", "+ICD10CM//1//.21")),
        ("DIAGNOSIS//ICD//10//S72001A", ("DIAGNOSIS//ICD//10//S72", "+ICD10CM//1//00", "+ICD10CM//2//1A")),
        ("DIAGNOSIS//ICD//9//4019", ("DIAGNOSIS//ICD//9//401", "+ICD9CM//1//9")),
        ("DIAGNOSIS//ICD//9//E8859", ("DIAGNOSIS//ICD//9//E885", "+ICD9CM//1//9")),
        ("DIAGNOSIS//ICD//9//V4581", ("DIAGNOSIS//ICD//9//V45", "+ICD9CM//1//81")),
        ("PROCEDURE//ICD//9//3893", ("PROCEDURE//ICD//9//38", "+ICD9PCS//1//93")),
        (
            "PROCEDURE//ICD//10//0BH17EZ",
            ("PROCEDURE//ICD//10//0", *(f"+ICD10PCS//{character}" for character in "BH17EZ")),
        ),
        ("MEDICATION//ATC//N02BE01", ("MEDICATION//ATC//N02", "+ATC//1//B", "+ATC//2//E01")),
        ("MEDICATION//ATC//N02B", ("MEDICATION//ATC//N02", "+ATC//1//B")),
        ("LAB//51237//UNK", ("LAB//51237//UNK",)),
        ("DIAGNOSIS//ICD//10//not a code", ("DIAGNOSIS//ICD//10//not a code",)),
    ],
)
def test_ethos_units_are_those_of_the_code_hierarchies(code: str, units: tuple[str, ...]) -> None:
    finest = encodings("ethos", code)[0]
    assert finest == units
    assert join_units(finest) == code
    assert len(finest) <= 7


def test_coarser_encodings_end_at_the_kind() -> None:
    assert encodings("ethos", "DIAGNOSIS//ICD//10//I5021") == (
        ("DIAGNOSIS//ICD//10//I50", "+ICD10CM//1//21"),
        ("DIAGNOSIS//ICD//10//I50",),
        ("DIAGNOSIS//UNK",),
    )
    assert encodings("fused", "DIAGNOSIS//ICD//10//I5021") == (
        ("DIAGNOSIS//ICD//10//I5021",),
        ("DIAGNOSIS//ICD//10//I50",),
        ("DIAGNOSIS//UNK",),
    )
    assert encodings("fused", "DIAGNOSIS//cardiac|shock|septic") == (
        ("DIAGNOSIS//cardiac|shock|septic",),
        ("DIAGNOSIS//cardiac|shock",),
        ("DIAGNOSIS//cardiac",),
        ("DIAGNOSIS//UNK",),
    )
    assert encodings("ethos", "LAB//UNK") == (("LAB//UNK",),)


@given(st.text(min_size=1), st.sampled_from(["ethos", "fused"]))
def test_the_finest_encoding_of_any_text_joins_to_it(code: str, scheme: str) -> None:
    ways = encodings(scheme, code)  # type: ignore[arg-type]
    if is_reserved(code) or code.startswith("+"):
        assert ways == ()
        return
    assert join_units(ways[0]) == code or ways[0][0].endswith("//UNK")
    assert len(set(ways)) == len(ways)
    assert all(way for way in ways)
