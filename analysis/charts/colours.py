"""Colours that belong to no group: on paper, and what a page fills in with its own, light or dark."""

INK, MUTED, GRID, PAPER = "#101820", "#57606b", "#d6dbe1", "#fefefd"

INK_OF_PAGE, MUTED_OF_PAGE, GRID_OF_PAGE, PAPER_OF_PAGE, SOFT_OF_PAGE = (
    f"var(--{name})" for name in ("ink", "muted", "grid", "paper", "soft")
)
"""CSS variables, light or dark with the page; ``report.css`` has the colours on paper as its light ones."""
