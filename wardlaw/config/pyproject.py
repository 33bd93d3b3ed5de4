"""The block of ``pyproject.toml`` that tells Flower which settings exist.

``python -m wardlaw.config.pyproject`` rewrites it from the schema's defaults; a test
holds the two identical, since Flower refuses a key that the block does not list.
"""

import json
import re
from pathlib import Path

from wardlaw.config.flat import to_flat
from wardlaw.config.run import RunConfig

_BLOCK = re.compile(
    r"^\[tool\.flwr\.app\.config\..*?(?=^\[(?!tool\.flwr\.app\.config))", re.DOTALL | re.MULTILINE
)


def flower_config_block() -> str:
    """Render the defaults as TOML, one table a section."""
    tables: dict[str, list[str]] = {}
    for key, value in to_flat(RunConfig()).items():
        table, _, name = key.rpartition(".")
        tables.setdefault(table, []).append(f"{name} = {json.dumps(value)}\n")
    return (
        "\n".join(f"[tool.flwr.app.config.{table}]\n{''.join(lines)}" for table, lines in tables.items())
        + "\n"
    )


def rewrite(pyproject: Path) -> None:
    """Replace the block in ``pyproject.toml``."""
    text = pyproject.read_text(encoding="utf-8")
    pyproject.write_text(_BLOCK.sub(lambda _: flower_config_block(), text, count=1), encoding="utf-8")


if __name__ == "__main__":
    rewrite(Path("pyproject.toml"))
