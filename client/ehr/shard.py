"""Token shards: a site's patients as memory-mapped Arrow, one folder a tokeniser.

    <tokens>/<fingerprint[:16]>/
        manifest.json            counts, digests, tokeniser; written last
        vocabulary.json          the tokeniser
        <split>.tokens.arrow     token, minutes, starts_event
        <split>.patients.arrow   subject_id, first_token, tokens, events, origin

An event's tokens are the intervals before it, its code's units and its bin. The first
token of a patient belongs to the first event and the last to the last event, so that
``starts_event`` sums to the number of events.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wardlaw.errors import ShardError
from wardlaw.files import file_sha256
from wardlaw.vocabulary import Vocabulary

FORMAT = "wardlaw-shard-1"
SPLITS = ("train", "tuning", "held_out")
_AGAIN = "Tokenise the site's MEDS root again"


class SplitCounts(BaseModel):
    """What a split holds.

    Attributes
    ----------
    patients, tokens, events : int
    shortened_codes : int
        Events written by an ancestor of their code.
    unknown_codes : int
        Events of which only the kind, or nothing, is written.
    values_without_bin : int
        Events whose value has no token, since the code has no edges.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    patients: int = Field(ge=0)
    tokens: int = Field(ge=0)
    events: int = Field(ge=0)
    shortened_codes: int = Field(ge=0)
    unknown_codes: int = Field(ge=0)
    values_without_bin: int = Field(ge=0)


class ShardManifest(BaseModel):
    """What a shard is and what its files must be.

    Attributes
    ----------
    format, kind : str
    site : str
    source : str
        Name of the data set that the patients are from.
    synthetic : bool
        Whether the patients are generated.
    scheme, tokenizer : str
        Tokeniser's scheme and fingerprint.
    vocabulary_size : int
    splits : dict of str to SplitCounts
    digests : dict of str to str
        SHA-256 of each file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["wardlaw-shard-1"] = "wardlaw-shard-1"
    kind: Literal["ehr"] = "ehr"
    site: str
    source: str
    synthetic: bool
    scheme: Literal["ethos", "fused"]
    tokenizer: str
    vocabulary_size: int = Field(gt=0)
    splits: dict[str, SplitCounts]
    digests: dict[str, str]

    def patients(self, split: str) -> int:
        """Patients of a split; 0 if it is absent."""
        return self.splits[split].patients if split in self.splits else 0

    def tokens(self, split: str) -> int:
        """Tokens of a split; 0 if it is absent."""
        return self.splits[split].tokens if split in self.splits else 0


@dataclass(frozen=True, eq=False)
class TokenSplit:
    """A split's arrays: views of the mapped files, not to be written to.

    Attributes
    ----------
    tokens : ndarray of uint16 or uint32, (tokens,)
    minutes : ndarray of int32, (tokens,)
        Minutes since the patient's ``origin``; 0 for static tokens.
    starts_event : ndarray of uint8, (tokens,)
        1 on an event's first token.
    subject_ids : ndarray of int64, (patients,)
        In the order of the tokens.
    first_token, lengths : ndarray of int64, (patients,)
        A patient's tokens are ``tokens[first_token:first_token + lengths]``.
    events : ndarray of int64, (patients,)
    origin : ndarray of datetime64[us], (patients,)
        Time of the patient's first timed event, birth apart.
    """

    tokens: NDArray[Any]
    minutes: NDArray[np.int32]
    starts_event: NDArray[np.uint8]
    subject_ids: NDArray[np.int64]
    first_token: NDArray[np.int64]
    lengths: NDArray[np.int64]
    events: NDArray[np.int64]
    origin: NDArray[np.datetime64]


@dataclass(frozen=True)
class TokenShard:
    """An opened shard.

    Attributes
    ----------
    folder : Path
    manifest : ShardManifest
    """

    folder: Path
    manifest: ShardManifest

    @classmethod
    def open(cls, folder: Path, *, tokenizer: str = "", verify: bool = True) -> "TokenShard":
        """Read a shard's manifest and check its files.

        Parameters
        ----------
        folder : Path
        tokenizer : str
            Fingerprint that the shard must have been made with; empty for any.
        verify : bool
            Whether to compare the files' digests (about 1 s a GB).

        Raises
        ------
        ShardError
            If it is no shard, of another tokeniser, or a file is absent or altered.
        """
        shard = cls(folder, _read_manifest(folder))
        made_with = shard.manifest.tokenizer
        if tokenizer not in ("", made_with):
            raise ShardError(
                f"the shard was made with tokeniser {made_with} and not with {tokenizer}",
                where=str(folder),
                remedy="Tokenise the site's MEDS root with the run's vocabulary",
            )
        if verify:
            shard._verify()
        return shard

    def split(self, name: str) -> TokenSplit:
        """Map a split.

        Raises
        ------
        ShardError
            If the shard has no such split, or a file is not what the manifest says.
        """
        if name not in self.manifest.splits:
            raise ShardError(f"the shard has no split {name!r}", where=str(self.folder), remedy=_AGAIN)
        counts = self.manifest.splits[name]
        tokens = _map(self.folder / f"{name}.tokens.arrow", counts.tokens)
        patients = _map(self.folder / f"{name}.patients.arrow", counts.patients)
        try:
            return TokenSplit(
                tokens=tokens["token"],
                minutes=tokens["minutes"],
                starts_event=tokens["starts_event"],
                subject_ids=patients["subject_id"],
                first_token=patients["first_token"],
                lengths=patients["tokens"],
                events=patients["events"],
                origin=patients["origin"],
            )
        except KeyError as error:
            raise ShardError(f"the split {name} has no column {error}", where=str(self.folder)) from None

    def vocabulary(self) -> Vocabulary:
        """The tokeniser that lies beside the tokens."""
        return Vocabulary.load(self.folder / "vocabulary.json")

    def _verify(self) -> None:
        for name, digest in self.manifest.digests.items():
            path = self.folder / name
            if not path.is_file():
                raise ShardError("the shard's file is absent", where=str(path), remedy=_AGAIN)
            if file_sha256(path) != digest:
                raise ShardError("the shard's file is truncated or altered", where=str(path), remedy=_AGAIN)


def shard_folder(tokens: Path, tokenizer: str) -> Path:
    """Folder of the shard that a tokeniser makes, under a site's ``tokens``."""
    return tokens / tokenizer[:16]


def _read_manifest(folder: Path) -> ShardManifest:
    path = folder / "manifest.json"
    try:
        return ShardManifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ShardError(
            f"not a token shard ({type(error).__name__})", where=str(path), remedy=_AGAIN
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ShardError(
            f"not a shard manifest: {place}: {first['msg']}", where=str(path), remedy=_AGAIN
        ) from None


def _map(path: Path, length: int) -> Mapping[str, NDArray[Any]]:
    """Columns of an Arrow file of one record batch, without a copy."""
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    except (OSError, pa.ArrowInvalid):
        raise ShardError("the shard's file is absent or truncated", where=str(path), remedy=_AGAIN) from None
    if table.num_rows != length:
        raise ShardError(
            f"{table.num_rows} rows where the manifest says {length}", where=str(path), remedy=_AGAIN
        )
    return {name: _view(table.column(name)) for name in table.column_names}


def _view(column: pa.ChunkedArray) -> NDArray[Any]:
    if column.num_chunks == 0:
        return np.empty(0, dtype=column.type.to_pandas_dtype())
    array = column.chunk(0)
    if pa.types.is_timestamp(array.type):
        return np.asarray(array.cast(pa.int64()).to_numpy(zero_copy_only=True)).view("datetime64[us]")
    return np.asarray(array.to_numpy(zero_copy_only=True))
