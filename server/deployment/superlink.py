"""A SuperLink seen through the ``flwr`` command, whose JSON says what its exit status does not.

``flwr run`` exits with 0 when the run failed, so the status is always asked for.
"""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wardlaw
from wardlaw.config.flat import Scalar
from wardlaw.deployment.environment import flower_environment, program
from wardlaw.errors import ConfigError, RoundError

CONNECTION = "wardlaw"
_COMMAND_S = 120.0
_KNOWN_KEY = "Public key already in use"


@dataclass(frozen=True)
class RunState:
    """Where a run stands, in Flower's words.

    Attributes
    ----------
    run_id : str
    status : str
        ``pending``, ``starting``, ``running``, or ``finished:`` and how.
    details : str
    """

    run_id: str
    status: str
    details: str

    @property
    def finished(self) -> bool:
        """Whether nothing of it runs any more."""
        return self.status.startswith("finished")

    @property
    def completed(self) -> bool:
        """Whether the ServerApp returned without an error."""
        return self.status == "finished:completed"


@dataclass(frozen=True)
class SuperLink:
    """A SuperLink's Control API.

    Attributes
    ----------
    home : Path
        Folder of Flower's own settings (``FLWR_HOME``).
    address : str
        ``host:port``.
    root_certificates : Path or None
        Certificate authority; None speaks plain HTTP, which is for loopback only.
    """

    home: Path
    address: str
    root_certificates: Path | None

    def write_connection(self) -> None:
        """Tell ``flwr`` where the SuperLink is."""
        transport = (
            f"root-certificates = {json.dumps(str(self.root_certificates.resolve()))}"
            if self.root_certificates
            else "insecure = true"
        )
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.home / "config.toml").write_text(
            f'[superlink]\ndefault = "{CONNECTION}"\n\n'
            f'[superlink.{CONNECTION}]\naddress = "{self.address}"\n{transport}\n',
            encoding="utf-8",
        )

    def submit(self, project: Path, settings: Mapping[str, Scalar], federation: str = "") -> str:
        """Send an app and a run's settings.

        Parameters
        ----------
        project : Path
            Folder of the app's ``pyproject.toml``.
        settings : mapping
            Flat settings, of keys that the ``pyproject.toml`` lists.
        federation : str
            Flower's settings of a simulation, e.g. ``"num-supernodes=3"``.

        Returns
        -------
        str
            The run's number.
        """
        path = self.home / "run.toml"
        lines = [f"{key} = {json.dumps(value)}\n" for key, value in settings.items()]
        path.write_text("".join(lines), encoding="utf-8")
        more = ["--federation-config", federation] if federation else []
        answer = self._flwr("run", str(project), CONNECTION, "--run-config", str(path.resolve()), *more)
        return str(answer["run-id"])

    def runs(self) -> list[RunState]:
        """All runs that this SuperLink knows."""
        listed = self._flwr("ls", CONNECTION)["runs"]
        return [RunState(run["run-id"], run["status"], run["status-details"] or "") for run in listed]

    def run(self, run_id: str) -> RunState:
        """One run's state."""
        (state,) = [state for state in self.runs() if state.run_id == run_id]
        return state

    def stop(self, run_id: str) -> None:
        """Stop a run."""
        self._flwr("stop", run_id, CONNECTION)

    def register(self, public_key: Path, name: str) -> None:
        """Let the node with this key take part; a key that may do so already is left alone."""
        try:
            self._flwr("supernode", "register", str(public_key.resolve()), CONNECTION, "--name", name)
        except RoundError as error:
            if _KNOWN_KEY not in error.what:
                raise

    def log(self, run_id: str) -> str:
        """What a run's ServerApp wrote; ``flower-superexec`` shows none of it."""
        return self._call("log", run_id, CONNECTION, "--show").stdout

    def _flwr(self, *arguments: str) -> dict[str, Any]:
        ended = self._call(*arguments, "--format", "json")
        try:
            answer: dict[str, Any] = json.loads(ended.stdout)
        except ValueError:
            answer = {}
        if ended.returncode or not answer.get("success", True) or not answer:
            problem = answer.get("error-message") or ended.stderr.strip() or ended.stdout.strip()
            raise RoundError(f"`flwr {arguments[0]}` failed: {problem}", where=self.address)
        return answer

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [program("flwr"), *arguments],
                env=flower_environment(self.home),
                cwd=self.home,
                capture_output=True,
                text=True,
                timeout=_COMMAND_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RoundError(f"`flwr {arguments[0]}` did not end", where=self.address) from None


def project_folder() -> Path:
    """Folder with the ``pyproject.toml`` that Flower bundles the app by.

    Raises
    ------
    ConfigError
        If this is an installation without the project's folder.
    """
    folder = Path(wardlaw.__file__).resolve().parents[1]
    if not (folder / "pyproject.toml").is_file():
        raise ConfigError(
            "no pyproject.toml, by which Flower bundles the app",
            where=str(folder),
            remedy="Run from a clone installed with `pip install --editable .`",
        )
    return folder
