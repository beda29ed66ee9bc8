"""The minutes of a chapter: what is counted, what is left out, how it is told."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.site import reading_time
from companion.site.reading_time import DO, READ, WORDS_PER_MINUTE, count, minutes, parts
from conftest import ROOT

TEXT = """---
kernelspec: {}
---

# A title of five words

One two three, and $x + y$ {cite:p}`someone2000title`.

$$
x = 1
$$ (eq-one)

```{code-cell} ipython3
from companion.widgets import Lab, Other

a = 1
```

```{code-cell} ipython3
:tags: [hide-input]
Lab(
    a, b,
)
```

```{quiz}
Many words which are not read as prose?
- [x] Yes.
- [ ] No.
```

```{recall}
- One? | Two.
- Three? | Four.
```

```{exercise-start} Do it
:label: do
```
Words of the exercise.
```{code-cell} ipython3
x = ...
```
```{exercise-end}
```

```{solution-start} do
```
Words of the solution.
```{solution-end}
```

## Optional: more

Four words are here.

## And on

```{admonition} Note
:class: dropdown
Two words.
```
"""


def test_each_thing_is_counted_once_and_as_what_it_is():
    must, may = parts(TEXT)
    found = count(must, frozenset({"Lab", "Other"}))
    assert found.things == dict.fromkeys([*READ, *DO], 0) | {
        "formula": 1, "line of code": 2, "widget": 1, "question": 1, "recall card": 2,
        "exercise": 1,
    }  # fmt: skip
    # title 5, "One two three, and $x + y$" 5, "And on" 2, "Two words." 2
    assert found.words == 14
    assert count(may).words == 6
    assert found.reading == pytest.approx(14 / WORDS_PER_MINUTE + 0.5 + 2 * 0.05)
    assert found.doing == 2 + 1 + 2 * 0.25 + 6


@given(st.lists(st.text("abcdefgh", min_size=1, max_size=9), min_size=1, max_size=400))
def test_prose_takes_its_words_at_the_published_speed(words):
    assert count(" ".join(words)).reading == pytest.approx(len(words) / WORDS_PER_MINUTE)


def test_the_minutes_come_in_fives_and_only_of_known_parts():
    text = "# T\n\n" + "word " * (WORDS_PER_MINUTE * 23) + "\n\n## Optional: x\n\n" + "word " * 5
    assert minutes(text) == {"reading": 25, "doing": 0, "optional": 0}
    assert reading_time.told(text, "reading") == "25"
    with pytest.raises(ValueError, match="one of reading, doing, optional, got 'all'"):
        reading_time.told(text, "all")


def test_no_chapter_states_minutes_that_somebody_typed():
    for path in sorted((ROOT / "book").glob("[0-9]*.md")):
        text = path.read_text("utf-8")
        card = re.search(r"\*\*It takes\*\* (.*?)\n\n", text, re.DOTALL)
        assert card, path.name
        assert "{minutes}`reading`" in card[1], path.name
        assert "{minutes}`doing`" in card[1], path.name
        assert not re.search(r"\d+ (?:more )?minutes|\d+ more", card[1]), path.name
        told = minutes(text)
        assert ("{minutes}`optional`" in card[1]) == (told["optional"] > 0), path.name
        assert 5 <= told["reading"] <= 120, path.name


def test_the_page_for_teachers_has_the_formula_that_is_computed():
    text = (ROOT / "book" / "teaching.md").read_text("utf-8")
    formula = text[text.index("\\text{reading} & =") : text.index("in minutes, rounded to five")]
    assert f"{{{WORDS_PER_MINUTE}}}" in formula
    stated = {
        "formula": r"\tfrac12 \cdot \text{displayed", "line of code": r"0.05 \cdot \text{lines",
        "widget": r"2 \cdot \text{widgets", "task": r"2 \cdot \text{tasks",
        "ordering": r"2 \cdot \text{orders", "recall card": r"\tfrac14 \cdot \text{cards",
        "exercise": r"6 \cdot \text{exercises", "prediction": r"+ \text{predictions",
        "question": r"+ \text{questions",
    }  # fmt: skip
    for thing, tex in stated.items():
        assert tex in formula, thing
    assert READ | DO == {
        "formula": 0.5, "line of code": 0.05, "widget": 2, "task": 2, "prediction": 1,
        "question": 1, "ordering": 2, "recall card": 0.25, "exercise": 6,
    }  # fmt: skip
