import subprocess
import sys


def run_wardlaw(*arguments):
    return subprocess.run(
        [sys.executable, "-c", "from wardlaw.cli import main; main()", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_names_the_rooms_without_loading_them():
    script = (
        "import sys; sys.argv = ['wardlaw', '--help']\n"
        "from wardlaw.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "rooms = {'models', 'client', 'server', 'simulations', 'analysis'}\n"
        "print('loaded', sorted(rooms & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "analysis" in done.stdout
    assert "loaded []" in done.stdout


def test_a_settings_error_is_one_line_and_exit_status_2(tmp_path):
    (tmp_path / "run.toml").write_text("[train]\nwidth = 3\n")
    done = run_wardlaw("simulate", "run", str(tmp_path / "run.toml"), "--federation", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "unknown key 'train.width'" in done.stderr
