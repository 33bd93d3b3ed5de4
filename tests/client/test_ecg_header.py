import pytest
import wfdb
from hypothesis import given
from hypothesis import strategies as st

from client.ecg.header import declared_samples, header_text, repaired, segments, signal_files, uncalibrated

GEORGIA = """E00015.mat 12 500 5000 05-May-2020 14:50:55
E00015.mat 16+24 4880/mV 16 0 58 -15141 0 I
E00015.mat 16+24 4880/mV 16 0 0 30738 0 II
#Age: 67
#Dx: 251146004
"""
MULTI = "# made of two\nwhole/3 12 500 2000\nlayout 0\nfirst 1000\n~ 1000\n"


def test_a_dot_in_the_record_name_is_cut_off_and_nothing_else_changes():
    text, repairs = repaired(GEORGIA)
    assert text.splitlines()[0] == "E00015 12 500 5000 05-May-2020 14:50:55"
    assert text.splitlines()[1:] == GEORGIA.splitlines()[1:]
    assert repairs == ("record-name",)


def test_a_sound_header_is_left_alone():
    sound = GEORGIA.replace("E00015.mat 12", "E00015 12", 1)
    assert repaired(sound) == (sound, ())
    assert repaired(MULTI) == (MULTI, ())
    assert repaired("") == ("", ())


@given(st.text(st.sampled_from("ab1.-/ \t\n#\u00b5V\x1c\x85"), max_size=40))
def test_any_text_is_mended_once_and_for_all(text):
    mended, repairs = repaired(text)
    assert repaired(mended) == (mended, ())
    assert (mended == text) == (not repairs)


def test_wfdb_takes_the_repaired_header_and_not_the_one_before(tmp_path):
    for name, text in (("before", GEORGIA), ("after", repaired(GEORGIA)[0])):
        (tmp_path / f"{name}.hea").write_text(text)
    with pytest.raises(ValueError, match="record line"):
        wfdb.rdheader(str(tmp_path / "before"))
    after = wfdb.rdheader(str(tmp_path / "after"))
    assert (after.fs, after.sig_len, after.adc_gain) == (500, 5000, [4880.0, 4880.0])


@pytest.mark.parametrize("micro", ["\u00b5", "\u03bc"])
def test_micro_signs_become_letters_in_signals_and_stay_in_comments(micro):
    text = f"r 1 500 10\nr.dat 16 5/{micro}V 16 0 0 0 0 I\n# noise of 3 {micro}V\n"
    assert repaired(text) == (text.replace(f"5/{micro}V", "5/uV"), ("micro-sign",))


def test_what_a_header_names():
    assert signal_files(GEORGIA) == {"E00015.mat"}
    assert segments(GEORGIA) == set()
    assert segments(MULTI) == {"layout", "first"}
    assert signal_files(MULTI) == set()
    assert declared_samples(GEORGIA) == 5000
    assert declared_samples("r 12") is None
    assert declared_samples("") is None


@pytest.mark.parametrize(
    ("gain", "known"),
    [
        ("1000/mV", True),
        ("1000.0(0)/mV", True),
        ("2e3/uV", True),
        ("-200", True),
        (".5(3)/mV", True),
        ("0/mV", False),
        ("0.0(0)/mV", False),
        ("NaN/mV", False),
        ("", False),
    ],
)
def test_gains_that_say_nothing(gain, known):
    text = f"r 2 500 10\nr.dat 16 200/mV 16 0 0 0 0 I\nr.dat 16 {gain}\n"
    assert uncalibrated(text) == (set() if known else {1})


def test_headers_that_are_not_utf_8_are_read(tmp_path):
    path = tmp_path / "r.hea"
    path.write_bytes("r 1 500 10\nr.dat 16 5/\u00b5V 16 0 0 0 0 I\n".encode("latin-1"))
    assert "5/\u00b5V" in header_text(path)
    path.write_bytes(b"\xef\xbb\xbfr 1 500 10\n")
    assert header_text(path) == "r 1 500 10\n"
