import subprocess
import sys


def run_wardlaw(*arguments):
    return subprocess.run(
        [sys.executable, "-c", "from wardlaw.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def loaded_by(command, modules):
    """What a command prints, and which of the modules are loaded at its end."""
    script = (
        f"import sys; sys.argv = {command!r}.split()\n"
        "from wardlaw.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('loaded', sorted({modules!r} & sys.modules.keys()))"
    )
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


def test_help_names_the_rooms_without_loading_them():
    told = loaded_by("wardlaw --help", {"models", "client", "server", "simulations", "analysis"})
    assert "analysis" in told
    assert "loaded []" in told


def test_a_plan_of_privacy_waits_for_no_library_of_another_command():
    command = "wardlaw client plan-privacy --patients 500 --batch 50 --steps 9 --noise 2"
    told = loaded_by(command, {"torch", "polars", "pyarrow", "flwr", "opacus", "dp_accounting"})
    assert "noise multiplier  2.0000" in told
    assert "loaded ['dp_accounting']" in told


def test_commands_that_load_late_are_listed_and_answer_as_others():
    listed = run_wardlaw("client", "--help").stdout
    assert all(name in listed for name in ("key", "plan-privacy", "shard", "budget", "secagg"))
    assert "Turn a source" in listed
    inner = run_wardlaw("client", "shard", "--help").stdout
    assert "ehr" in inner
    assert "--install-completion" not in inner
    wrong = run_wardlaw("client", "shard", "radiology")
    assert wrong.returncode == 2
    assert "No such command 'radiology'" in wrong.stderr


def test_a_settings_error_is_one_line_and_exit_status_2(tmp_path):
    (tmp_path / "run.toml").write_text("[train]\nwidth = 3\n")
    done = run_wardlaw("simulate", "run", str(tmp_path / "run.toml"), "--federation", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "unknown key 'train.width'" in done.stderr
