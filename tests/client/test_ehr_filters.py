import polars as pl
import pytest

from client.ehr.filters import FILTERS, atc_filter
from client.ehr.templates import columns_of, first_complete, reference, template_expression
from wardlaw.errors import ConfigError


def filtered(name, *values):
    return pl.DataFrame({"x": values}).select(FILTERS[name](pl.col("x"))).to_series().to_list()


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("WARFARIN SODIUM 5 MG PO TABS", "warfarin sodium"),
        ("5 ML VIAL : DILTIAZEM HCL 25 MG/5ML IV SOLN", "diltiazem hcl"),
        ("2 ML  -  METOCLOPRAMIDE HCL 5 MG/ML IJ SOLN", "metoclopramide hcl"),
        ("1000 ML FLEX CONT : SODIUM CHLORIDE 0.9 % IV SOLN", "sodium chloride"),
        ("SODIUM CHLORIDE 0.9 % IV : 1000 ML", "sodium chloride"),
        ("ASPIRIN EC 81 MG PO TBEC", "aspirin"),
        ("acetaminophen 325 mg po tabs", "acetaminophen"),
        ("FUROSEMIDE 10 MG/1 ML 4ML SDV INJ", "furosemide"),
        ("zolpiDEM 5 MG TAB", "zolpidem"),
        ("heparin sodium (porcine", "heparin sodium"),
        ("potassium chloride", "potassium chloride"),
        ("MAGNESIUM SULFATE 2 G IN NS PREMIX", "magnesium sulfate"),
    ],
)
def test_drug_names_are_bare(told, name):
    assert filtered("drug", told) == [name]


def test_icd_codes_are_the_first_of_each_vocabulary():
    told = (
        "401.9, I10",
        "I10",
        "038.9, 518.81, A41.9, J96.00",
        "V45.01, Z95.0",
        "E950.0",
        "",
        None,
        "584.9,N17.9",
    )
    assert filtered("icd10", *told) == ["I10", "I10", "A419", "Z950", None, None, None, "N179"]
    assert filtered("icd9", *told) == ["4019", None, "0389", "V4501", "E9500", None, None, "5849"]


def test_races_are_groups():
    told = (
        "BLACK/CAPE VERDEAN",
        "HISPANIC/LATINO - CUBAN",
        "Caucasian",
        "Other/Unknown",
        "UNABLE TO OBTAIN",
        "OTHER",
    )
    assert filtered("race", *told) == ["BLACK", "HISPANIC", "WHITE", "UNKNOWN", "UNKNOWN", "OTHER"]


def test_infusions_have_a_name_and_a_unit():
    told = ("Norepinephrine (mcg/min)", "Propofol ()", "Volume (mL) Magnesium  (ml/hr)")
    assert filtered("infusion", *told) == ["norepinephrine", "propofol", "volume magnesium"]
    assert filtered("infusion-unit", *told) == ["mcg/min", None, "ml/hr"]


def test_blood_pressure_is_two_numbers():
    assert filtered("systolic", "110/70", "x") == ["110", None]
    assert filtered("diastolic", "110/70", "x") == ["70", None]


def test_atc_is_looked_up_by_the_whole_name_first_and_then_the_bare_one():
    atc = atc_filter({"heparin": "B01AB01", "heparin flush (10 units/ml)": "B01AB51"})
    told = pl.DataFrame({"x": ["Heparin 5000 unit", "Heparin Flush (10 units/ml)", "foo", None]})
    assert told.select(atc(pl.col("x"))).to_series().to_list() == ["B01AB01", "B01AB51", None, None]


def test_templates_fall_through_to_the_first_that_is_complete():
    frame = pl.DataFrame({"a": ["x", None, " "], "b": ["1", "2", None]})
    codes = frame.select(first_complete(["A//{a}", "B//{b}//{a?}"], FILTERS)).to_series().to_list()
    assert codes == ["A//x", "B//2//UNK", None]
    assert columns_of(["A//{a|lower}", "{b}//{a?}"]) == ["a", "b"]


def test_an_unknown_filter_is_an_error():
    with pytest.raises(ConfigError, match="unknown filter 'shout'"):
        reference("a|shout", FILTERS)


def test_white_space_in_codes_is_single():
    frame = pl.DataFrame({"a": ["  two   words "]})
    assert frame.select(template_expression("A//{a}", FILTERS)).item() == "A//two words"
