import pytest

from wardlaw.files import write_atomically, write_text_atomically


def test_a_failed_write_leaves_the_former_file_and_no_litter(tmp_path):
    path = tmp_path / "state.json"
    write_text_atomically(path, "before")

    def fail_halfway(temporary):
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail_halfway)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
