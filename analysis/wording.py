"""Numbers and names as a reader sees them."""

import math
import re
import unicodedata

GREEK = {
    "eps": "\N{GREEK SMALL LETTER EPSILON}",
    **{
        name: unicodedata.lookup(f"GREEK SMALL LETTER {name}")
        for name in ("alpha", "beta", "gamma", "delta", "eta", "kappa", "mu", "nu")
    },
}
"""Letters by the names that laws spell them out with."""

# A part of a hyphenated word, as in proximal-mu, is a word.
_SPELT_OUT = re.compile(rf"(?<!\w)(?<!\w-)({'|'.join(GREEK)})(\d?)(?![\w-])")
_SUBSCRIPTS = {ord(str(digit)): chr(0x2080 + digit) for digit in range(10)}
_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "K"))


def count(value: float) -> str:
    """A count with three significant digits and a prefix.

    Examples
    --------
    >>> count(409_600)
    '410 K'
    >>> count(40)
    '40'
    """
    for factor, prefix in _PREFIXES:
        if abs(value) >= 0.9995 * factor:
            return f"{value / factor:.3g} {prefix}"
    return f"{value:.3g}"


def significant(value: float, digits: int = 3) -> str:
    """A number with so many significant digits, in exponent form from a million on and below a millionth.

    Examples
    --------
    >>> significant(0.000412)
    '0.000412'
    >>> significant(42.3616)
    '42.4'
    """
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}" if abs(value) < 1e6 and decimals < 8 else f"{value:.{digits - 1}e}"


def greek(text: str) -> str:
    r"""A text with the letters of its formulas, and their numbers as subscripts.

    Examples
    --------
    >>> print(greek("gamma1 at proximal-mu 0.1").encode("ascii", "namereplace").decode())
    \N{GREEK SMALL LETTER GAMMA}\N{SUBSCRIPT ONE} at proximal-mu 0.1
    """
    return _SPELT_OUT.sub(lambda found: GREEK[found[1]] + found[2].translate(_SUBSCRIPTS), text)
