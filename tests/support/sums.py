"""Sums and products that a page writes out, checked as a reader would check them."""

import re
from decimal import ROUND_HALF_UP, Decimal

_SIGNS = str.maketrans({"−": "-", "·": "*", "×": "*", "\u202f": None, "\xa0": " "})
_NUMBER = r"\d+(?:\.\d+)?"
# Numbers joined by signs and brackets, "= 12.3" behind them; a ≈ promises nothing.
_SUM = re.compile(
    rf"(?<![\w.,\]^*/+-])([-(]*{_NUMBER}[\d\s.+*/()-]*?)\s*=\s*(-?{_NUMBER})(?![\d%.]|\s*[*/+(\w])"
)


def false_sums(text: str) -> list[str]:
    """The sums in a text whose result is not what its numbers as shown make, at its own digits.

    A result may be off by half a unit of its last digit, as rounding has it: "½ (1.00 + 0.21) =
    0.605" is right, "1.24 + 1.24 = 2.49" is not.
    """
    plain = text.translate(_SIGNS).replace("½", "0.5*")
    found = []
    for sides in _SUM.finditer(plain):
        left, right = sides.groups()
        if not re.search(r"\d\s*\)*\s*[-+*/]", left) or left.count("(") != left.count(")"):
            continue
        terms = re.sub(rf"({_NUMBER})", r"Decimal('\1')", " ".join(left.split()))
        try:
            value = eval(terms, {"Decimal": Decimal})  # digits, signs and brackets only
        except (SyntaxError, TypeError, ArithmeticError):
            continue  # words stood between: "rows 3 - 4 (5)"
        last = Decimal(1).scaleb(Decimal(right).as_tuple().exponent)
        if abs(value - Decimal(right)) > last / 2:
            found.append(
                f"{' '.join(left.split())} = {right}, not {value.quantize(last, ROUND_HALF_UP)}"
            )
    return found
