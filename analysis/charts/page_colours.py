"""Colours that a page fills in with its own, light or dark: CSS variables by name."""

INK_OF_PAGE, MUTED_OF_PAGE, GRID_OF_PAGE, PAPER_OF_PAGE, SOFT_OF_PAGE = (
    f"var(--{name})" for name in ("ink", "muted", "grid", "paper", "soft")
)
