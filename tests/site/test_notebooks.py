"""The notebooks for Colab and Binder: constructs, whole chapters, the first cell run for real."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
import textwrap
import tomllib
import venv
import zipfile
from itertools import product
from pathlib import Path

import jupytext
import nbformat
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from companion.site.notebooks import (
    Book,
    Repository,
    bootstrap,
    check,
    exercise_cells,
    main,
    release_tag,
    write,
)

ROOT = Path(__file__).parents[2]
CHAPTERS = [p for p in sorted((ROOT / "book").glob("*.md")) if "kernelspec:" in p.read_text()]

CONFIG = """
title: A Book
parse:
  myst_enable_extensions: [dollarmath]
repository:
  url: "{url}"
  branch: main
  path_to_book: book
launch_buttons:
  colab_url: https://colab.research.google.com
  kaggle_url: https://kaggle.com/
  binderhub_url: https://mybinder.org
"""
HEADER = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
---
"""
BIBLIOGRAPHY = r"""
@inproceedings{kingma, title = {Auto-Encoding Variational {B}ayes},
  author = {Kingma, Diederik P. and Welling, Max}, booktitle = {ICLR}, year = 2014,
  url = {https://arxiv.org/abs/1312.6114}}
@article{higgins, title = {beta-{VAE}}, journal = {ICLR}, year = 2017, doi = {10.1000/x_1},
  author = {Higgins, Irina and Matthey, Lo{\"i}c and van der Pal, Arka}}
@article{smith-b, title = {Second}, author = {Smith, Ann}, journal = {J}, year = 2020}
@article{smith-a, title = {First}, author = {Smith, Ann}, journal = {J}, year = 2020}
@misc{team, title = {A report}, author = {{Vision Team}}, year = 2021}
"""


def make_book(folder: Path, url: str = "", version: str = "1.0.dev0", **chapters: str) -> Path:
    """A book's folder with the given chapters (front matter is added where there is none)."""
    book = folder / "book"
    book.mkdir(parents=True, exist_ok=True)
    (folder / "_config.yml").write_text(CONFIG.format(url=url))
    (folder / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
    (book / "references.bib").write_text(BIBLIOGRAPHY)
    for name, text in chapters.items():
        whole = text if text.startswith("---") else HEADER + text
        (book / f"{name.replace('_', '-')}.md").write_text(whole)
    return book


def cells_of(book: Path, name: str) -> list[nbformat.NotebookNode]:
    return nbformat.reads(Book(book).notebooks()[book / f"{name}.ipynb"], as_version=4).cells


def convert(folder: Path, body: str, **more: str) -> str:
    """What a chapter's text becomes, without the two opening cells."""
    book = make_book(folder, c1=f"# T\n\n{body}\n", **more)
    return "\n\n".join(cell.source for cell in cells_of(book, "c1")[2:])


def show(text: str) -> str:
    return textwrap.dedent(text).strip("\n")


# Constructs ---------------------------------------------------------------------------------------

CASES = {
    "box": (
        """
        Before
        ```{admonition} Reading the slide *closely*
        :class: slide

        The slide says $a
        = b$ and {cite:t}`team` too:

        $$
        \\begin{aligned}
        a &= b \\\\
        c &= d
        \\end{aligned}
        $$ (slide)

        - one
        - two
        ```
        after.
        """,
        """
        Before

        > **Reading the slide *closely***
        >
        > The slide says $a = b$ and Vision Team [2021] too:
        >
        > $$\\begin{aligned} a &= b \\\\ c &= d \\end{aligned} \\qquad (1)$$
        >
        > - one
        > - two

        after.

        ## References

        - **Vision Team [2021]**: Vision Team. A report. 2021.
        """,
    ),
    "box that is folded": (
        """
        ````{admonition} The *proof* of $a_1 < b_1$
        :class: tip dropdown
        As

        ```python
        x = "{ref}`a`"
        ```
        ````
        """,
        """
        <details>
        <summary><b>The <em>proof</em> of $a_1 &lt; b_1$</b></summary>

        As

        ```python
        x = "{ref}`a`"
        ```

        </details>
        """,
    ),
    "exercise and solution": (
        """
        ## Exercises

        ```{exercise-start} A *limit* of $x$
        :label: ex-limit
        ```
        Show it.
        ```{exercise-end}
        ```

        ```{exercise-start}
        ```
        ```{exercise-end}
        ```

        ```{solution-start} ex-limit
        :class: dropdown
        ```

        As $x \\to 0$.

        - So.

        ```{solution-end}
        ```

        See {ref}`ex-limit`.
        """,
        """
        ## Exercises

        ### Exercise 1 — A *limit* of $x$

        Show it.

        ### Exercise 2

        ### Solution to exercise 1

        <details>
        <summary><b>Show the solution</b></summary>

        As $x \\to 0$.

        - So.

        </details>

        See Exercise 1.
        """,
    ),
    "citations": (
        """
        {cite:t}`kingma` differs {cite:p}`higgins{table 6}`, {cite:p}`smith-b,kingma {§2, §3}`
        ({cite:t}`smith-a`, page 3).
        """,
        """
        Kingma & Welling [2014] differs [Higgins et al., 2017, table 6], [Smith, 2020b; Kingma & Welling, 2014, §2, §3]
        (Smith [2020a], page 3).

        ## References

        - **Higgins et al. [2017]**: Irina Higgins, Loïc Matthey, and Arka van der Pal. Beta-VAE. *ICLR*, 2017. [doi:10.1000/x\\_1](https://doi.org/10.1000/x_1).
        - **Kingma & Welling [2014]**: Diederik P. Kingma and Max Welling. Auto-encoding variational Bayes. In *ICLR*. 2014. URL: [https://arxiv.org/abs/1312.6114](https://arxiv.org/abs/1312.6114).
        - **Smith [2020a]**: Ann Smith. First. *J*, 2020.
        - **Smith [2020b]**: Ann Smith. Second. *J*, 2020.
        """,  # noqa: E501
    ),
    "references to what comes later": (
        """
        See {ref}`sec`, {eq}`late`.

        (sec)=
        ## A $x^2$ section

        $$
        a
        $$

        $$
        b
          + c
        $$ (late)
        """,
        """
        See “A $x^2$ section”, (1).

        ## A $x^2$ section

        $$
        a
        $$

        $$
        b
          + c \\qquad (1)
        $$
        """,
    ),
    "references to other pages": (
        """
        {doc}`c2`, {doc}`intro`, {ref}`there`, {eq}`far`, {ref}`far-exercise`.

        | page | formula |
        |---|---|
        | {doc}`c2` | {eq}`far` |
        """,
        """
        [Two](c2.ipynb), The start, [“Section” of “Two”](c2.ipynb), [(1) of “Two”](c2.ipynb), [Exercise 1 of “Two”](c2.ipynb).

        | page | formula |
        |---|---|
        | [Two](c2.ipynb) | [(1) of “Two”](c2.ipynb) |
        """,  # noqa: E501
    ),
    "quiz with options": (
        """
        ```{quiz}
        :label: q1
        What happens when

        $σ → 0$?
        - [ ] It goes to zero. | The *log* grows.
        - [x] It grows. | Right: $-\\log σ^2 →
          ∞$, {doc}`c2`.
        - [ ] Nothing.
        ```

        {ref}`q1`
        """,
        """
        **Question 1**

        What happens when

        $σ → 0$?

        - **A.** It goes to zero.
        - **B.** It grows.
        - **C.** Nothing.

        <details>
        <summary><b>Answer</b></summary>

        - **B** — Right: $-\\log σ^2 → ∞$, [Two](c2.ipynb).
        - A — The *log* grows.
        - C — no

        </details>

        Question 1
        """,
    ),
    "quiz with the slide read closely": (
        """
        ```{quiz}
        > The slide.

        What is wrong?
        - [ ] One.
        - [x] Two.

        ---
        It is $1
        = 2$ {cite:p}`team`:

        $$
        x
        $$ (closely)
        ```
        """,
        """
        **Question 1**

        > The slide.

        What is wrong?

        - **A.** One.
        - **B.** Two.

        <details>
        <summary><b>Answer</b></summary>

        - **B** — right
        - A — no

        </details>

        <details>
        <summary><b>Reading the slide closely</b></summary>

        It is $1 = 2$ [Vision Team, 2021]:

        $$
        x \\qquad (1)
        $$

        </details>

        ## References

        - **Vision Team [2021]**: Vision Team. A report. 2021.
        """,
    ),
    "prediction of a number": (
        """
        ```{predict}
        :label: p1
        :scale: 0 to 100 step 5
        :unit: %
        How *likely* is it?
        = helmet ± 5 | The $x$ did it.
        > | Many think so.
        ```

        {ref}`p1`

        ```{predict}
        :scale: 1 to 1e6 log
        How many?
        = 1000
        ```

        ```{predict}
        :scale: 0 to 1
        :quantity: loss
        :when: p < 0.5
        And then?
        = ± 0.1 | Close.
        ```
        """,
        """
        **Predict.** How *likely* is it?

        Your guess, from 0 to 100 %?

        <details>
        <summary><b>Compare</b></summary>

        The cell that calls `truth("helmet", …)` says it.

        - *Close:* The $x$ did it.
        - *Too high:* Many think so.

        </details>

        the prediction

        **Predict.** How many?

        Your guess, from 1 to 1000000?

        <details>
        <summary><b>Compare</b></summary>

        **1000**

        </details>

        **Predict.** And then?

        Your guess, from 0 to 1?

        <details>
        <summary><b>Compare</b></summary>

        The widget shows it as `loss`, at `p < 0.5`.

        - *Close:* Close.

        </details>
        """,
    ),
    "prediction of a choice": (
        """
        ```{predict}
        Which?
        - [ ] One | Because.
        - [x] Two
        ```

        ```{predict}
        Which?
        - [ ] One | Because.
        - [ ] Two
        = winner
        ```
        """,
        """
        **Predict.** Which?

        - **A.** One
        - **B.** Two

        <details>
        <summary><b>Compare</b></summary>

        - **B** — right
        - A — Because.

        </details>

        **Predict.** Which?

        - **A.** One
        - **B.** Two

        <details>
        <summary><b>Compare</b></summary>

        The cell that calls `truth("winner", …)` says it.

        - *A:* Because.

        </details>
        """,
    ),
    "task and recall cards": (
        """
        ```{task}
        :goal: p < 0.1 and patch <= 48
        :widget: occlusion_map
        Hide the *helmet* ({doc}`c2`).
        ```

        ```{recall}
        - What is $x < 1$? | A *bound*.
        - Why? | Because,
          see {ref}`there`.
        ```
        """,
        """
        > **Task.** Hide the *helmet* ([Two](c2.ipynb)).

        **Recall** (answer first, then look)

        <details>
        <summary><b>What is $x &lt; 1$?</b></summary>

        A *bound*.

        </details>

        <details>
        <summary><b>Why?</b></summary>

        Because, see [“Section” of “Two”](c2.ipynb).

        </details>
        """,
    ),
    "lines to order": (
        """
        ```{order}
        :or: 2 1 3
        One step.
        1. `a = 1`
        2. `b = 2`
        3. `    c = a + b`
        - `d = 4` | Never *used*.
        ```

        ```{order}
        The steps.
        1. First $x$
        2. Second
        ```
        """,
        """
        **Put in order.** One step.

        ```python
        b = 2
        d = 4
            c = a + b
        a = 1
        ```

        Not every line belongs.

        <details>
        <summary><b>Solution</b></summary>

        ```python
        a = 1
        b = 2
            c = a + b
        ```

        Right, too, by the numbers of these lines: 2 1 3.

        Left out:

        - `d = 4` — Never *used*.

        </details>

        **Put in order.** The steps.

        - Second
        - First $x$

        <details>
        <summary><b>Solution</b></summary>

        - First $x$
        - Second

        </details>
        """,
    ),
    "quiz with a number": (
        """
        ```{quiz}
        How many nats?
        = 50 ± 0.5 | Yes, $8 \\cdot 6.25$.
        ≠ 25 | Twice that.
        ```
        """,
        """
        **Question 1**

        How many nats?

        <details>
        <summary><b>Answer</b></summary>

        **50 ± 0.5** — Yes, $8 \\cdot 6.25$.

        </details>
        """,
    ),
}
OTHERS = {
    "c2": "# Two\n\n(there)=\n## Section\n\n$$\na\n$$ (far)\n\n"
    "```{exercise-start}\n:label: far-exercise\n```\n\n```{exercise-end}\n```\n",
    "intro": "---\n---\n# The start\n\n```{toctree}\n```\n{unknown}`x`\n",
}


@pytest.mark.parametrize("name", CASES)
def test_construct_becomes_plain_markdown(name: str, tmp_path: Path) -> None:
    source, expected = map(show, CASES[name])

    assert convert(tmp_path, source, **OTHERS) == expected


PLAIN = [
    "A paragraph with `code`, **bold**, $x_1$,\nand a second line.",
    "## A heading with `{ref}` in it",
    "- one\n- two\n\n  more of two\n   1. deep",
    "> A quote\n> with $a$ and\n>\n> - more",
    "| a | b |\n|--:|:--|\n| `x` | \\| $\\|y\\|$ |",
    "```python\n% (a)= {ref}`x` ::: $$\n\n\n    indented\n```",
    "`` {ref}`a` `` and $\\frac{a}{`b`}$ and \\`{a",
    "<details>\n<summary>S</summary>\n\ntext\n\n</details>",
    "[link](https://example.org/a_b) <https://example.org>",
    "hard break  \nand one\\\nmore; 5 < 6, 3 %, R&D, \\$5, \\{x\\} {y} set {z}",
    "    indented code",
    "***",
]


@given(st.lists(st.sampled_from(PLAIN), max_size=6))
@example(PLAIN)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_plain_markdown_stays_as_it_is(tmp_path: Path, blocks: list[str]) -> None:
    text = "\n\n".join(["start", *blocks])

    assert convert(tmp_path, text) == text


# What must not pass -------------------------------------------------------------------------------

EXERCISE = "```{exercise-start}\n:label: e\n```\n\n"
ERRORS = {
    "unknown label": ("a\n\n{eq}`nowhere`", 3, "no chapter has the label 'nowhere'"),
    "unknown work": ("a\n{cite:p}`kingma, nobody`", 2, "references.bib has no work 'nobody'"),
    "unknown page": ("{doc}`13-x`", 1, "'13-x' is no page"),
    "label twice": ("(a)=\n## b\n\n(a)=\n## c", 4, "the label 'a' is used twice"),
    "label of nothing": ("(a)=\n\ntext", 1, "the label 'a' needs a heading"),
    "reference in a title": ("## See {eq}`x`", 1, "a title can't refer"),
    "never closed": ("a\n\n```{admonition} A\nb", 3, "```{admonition} A is not closed"),
    "formula never closed": ("$$\na", 1, "$$ is not closed"),
    "outer fence too short": ("```{admonition} A\n```{quiz}\na\n```\n```", 2, "is not closed"),
    "solution of nothing": ("```{solution-start} none\n```\n```{solution-end}\n```", 1, "'none'"),
    "start without end": (EXERCISE, 1, "{exercise-start} is never ended"),
    "end without start": ("```{solution-end}\n```", 1, "without {solution-start}"),
    "end of the other kind": (EXERCISE + "```{solution-end}\n```", 5, "without {solution-start}"),
    "start in a start": (EXERCISE + "```{solution-start} e\n```", 5, "{exercise-end} is missing"),
    "text in the start": ("```{exercise-start}\n\nShow\n```", 1, "belongs below {exercise-start}"),
    "argument": ("```{quiz} Why?\n```", 1, "{quiz} takes nothing behind its name"),
    "quiz without an answer": ("```{quiz}\nWhat?\n- [ ] a\n- [ ] b\n```", 1, "one of them right"),
    "prediction without truth": ("a\n\n```{predict}\n:scale: 0 to 1\nWhat?\n```", 3, "one truth"),
    "task without goal": ("```{task}\nTry it.\n```", 1, "a goal compares quantities"),
    "goal that is none": ("```{task}\n:goal: a <\nTry it.\n```", 1, "got 'a <'"),
    "card without answer": ("a\n\n```{recall}\n- What?\n```", 3, "a recall card is a line"),
    "lines that do not count up": ("```{order}\nDo.\n1. a\n3. b\n```", 1, "expected 2"),
    "nothing read closely": ("```{quiz}\nA?\n- [ ] a\n- [x] b\n---\n```", 1, "needs the box"),
    "lines of a formula": ("$$\na \\\\\nb\n$$", 1, "needs \\begin{aligned}"),
    "citation like a link": ("a\n{cite:p}`kingma`(b)", 2, "would make it a link"),
    "citation like a definition": ("a\n\n{cite:p}`kingma`: b", 3, "the definition of a link"),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
def test_a_mistake_is_one_clear_error(name: str, tmp_path: Path) -> None:
    body, line, message = ERRORS[name]
    start = HEADER.count("\n") + 2  # the title and a blank line

    with pytest.raises(ValueError, match=re.escape(message)) as error:
        convert(tmp_path, body)
    assert str(error.value).startswith(f"{tmp_path}/book/c1.md:{start + line}: ")


@pytest.mark.parametrize(
    "construct",
    [
        "```{note}\nb\n```", "```{figure} a.png\n```", "```{math}\nb\n```", "```{raw-cell}\nb\n```",
        "```{code-cell}\n:tags: [remove-cell]\nb\n```", "```{code-cell}\n:lines: 3\nb\n```",
        ":::{note}\nb\n:::", "~~~{note}\nb\n~~~", "- b\n  ```{quiz}\n  ```", "> ```{quiz}\n> ```",
        "{numref}`b`", "{cite}`kingma`", "{glue:text}`b`", "{math}`b`", "{ref}`b", "| {kbd}`b` |",
        "b\n$$\nc\n$$", "$$ b $$ (c)", "- $$\n  b\n  $$", "b\n(c)=\n## d", "% b", "b[^c]",
        "[^c]: b", "[b](c2.md)", "![b](images/c.png)", "[b](#c)", "<project:#b>", "[b]: https://example.org",
    ],
)  # fmt: skip
def test_what_only_the_book_knows_is_refused(construct: str, tmp_path: Path) -> None:
    line = HEADER.count("\n") + 5

    with pytest.raises(ValueError, match=r"no form in a notebook|would be the definition") as error:
        convert(tmp_path, f"before\n\n{construct}")
    file, found, _ = str(error.value).split(":", 2)
    assert file == f"{tmp_path}/book/c1.md"
    assert line <= int(found) <= line + construct.count("\n")


@pytest.mark.parametrize(
    ("body", "line", "found"),
    [
        ("```{admonition} A\n:class: tip\n:name: b\nc\n```", 3, "the option ':name: b'"),
        ("```{quiz}\n---\nlabel: b\n---\n```", 2, "the option '---'"),
        ("````{admonition} A\n```{quiz}\n```\n````", 2, "a directive inside another"),
        ("````{admonition} A\nb\n```{code-cell}\nx\n```\n````", 3, "a directive inside another"),
        ("```{admonition} {kbd}`b`\nc\n```", 1, "the role {kbd}"),
        ("```{quiz}\n:label: b\n{kbd}`c`\n= 1\n```", 3, "the role {kbd}"),
        ("```{quiz}\nA?\n- [ ] a\n- [x] b\n---\n{kbd}`c`\n```", 6, "the role {kbd}"),
        ("```{task}\n:goal: a < 1\n{kbd}`c`\n```", 3, "the role {kbd}"),
    ],
)  # fmt: skip
def test_it_is_refused_inside_a_directive_too(
    body: str, line: int, found: str, tmp_path: Path
) -> None:
    where = re.escape(f"c1.md:{HEADER.count(chr(10)) + 2 + line}: ")

    with pytest.raises(ValueError, match=where + ".*" + re.escape(found)):
        convert(tmp_path, body)


def test_extensions_that_differ_no_title_and_no_config(tmp_path: Path) -> None:
    book = make_book(tmp_path, c1="# T")
    config = tmp_path / "_config.yml"
    written = config.read_text()
    config.write_text(written.replace("[dollarmath]", "[dollarmath, deflist]"))
    with pytest.raises(ValueError, match=r"_config\.yml: expected .*\['deflist', 'dollarmath'\]"):
        Book(book)
    config.write_text(written)
    make_book(tmp_path, c2="text")
    with pytest.raises(ValueError, match=r"c2\.md: expected a heading of level one"):
        Book(book)
    config.unlink()
    with pytest.raises(ValueError, match=r"_config\.yml"):
        Book(book)


# Whole chapters -----------------------------------------------------------------------------------

CHAPTER = (
    HEADER.replace("---\nj", "---\ncolab: {gpu: true}\nj", 1)
    + """
(start)=
# A *mini* chapter

Opening, see {ref}`start`.

+++

Another cell.

```{code-cell} ipython3
:tags: [hide-input]
x = 1  # {ref}`start` :::

print(f"{x}`")
```

## Exercises

```{exercise-start} Compute
:label: ex
```

Fill in:

```{code-cell}
y = ...
```

```{exercise-end}
```

```{solution-start} ex
:class: dropdown
```
```{code-cell}
y = 2
```

Now

- this.

```{code-cell}
%%time
y = 3
```
```{solution-end}
```

The end.
"""
)

GOLDEN = [
    (
        "markdown",
        "# A *mini* chapter\n\nThis notebook is generated from `book/01-mini.md` of *A Book*; "
        "changes belong there. Its first code cell sees to it that `companion`, the library of the "
        "book, is at hand.",
        {},
    ),
    (
        "code",
        bootstrap(Repository("", "", "book"), wants_gpu=True),
        {"cellView": "form", "jupyter": {"source_hidden": True}},
    ),
    ("markdown", "Opening, see “A *mini* chapter”.", {}),
    ("markdown", "Another cell.", {}),
    (
        "code",
        'x = 1  # {ref}`start` :::\n\nprint(f"{x}`")',
        {"cellView": "form", "jupyter": {"source_hidden": True}},
    ),
    ("markdown", "## Exercises", {}),
    ("markdown", "### Exercise 1.1 — Compute\n\nFill in:", {"id": "ex"}),
    ("code", "y = ...", {}),
    ("markdown", "### Solution to exercise 1.1", {}),
    (
        "code",
        "# @title Solution to exercise 1.1\ny = 2",
        {"cellView": "form", "jupyter": {"source_hidden": True}},
    ),
    (
        "markdown",
        "<details>\n<summary><b>Show the solution</b></summary>\n\nNow\n\n- this.\n\n</details>",
        {},
    ),
    ("code", "%%time\ny = 3", {"cellView": "form", "jupyter": {"source_hidden": True}}),
    ("markdown", "The end.", {}),
]


def test_a_whole_chapter(tmp_path: Path) -> None:
    book = make_book(tmp_path, **{"01_mini": CHAPTER})

    text = Book(book).notebooks()[book / "01-mini.ipynb"]
    notebook = nbformat.reads(text, as_version=4)

    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert [(c.cell_type, c.source, dict(c.metadata)) for c in notebook.cells] == GOLDEN
    assert all(
        not c.outputs and c.execution_count is None for c in notebook.cells if "outputs" in c
    )
    assert notebook.metadata == {
        "accelerator": "GPU",
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    assert text.endswith("}\n")


def test_no_gpu_and_no_word_of_it_unless_asked_for(tmp_path: Path) -> None:
    book = make_book(tmp_path, c1="# T\n\nText.", c2=CHAPTER)
    plain, asking = (
        nbformat.reads(Book(book).notebooks()[book / f"{name}.ipynb"], as_version=4)
        for name in ("c1", "c2")
    )

    assert "accelerator" not in plain.metadata
    assert asking.metadata.accelerator == "GPU"
    assert "GPU" not in plain.cells[1].source
    assert "Faster with a GPU" in asking.cells[1].source


def test_the_address_stands_in_the_first_cells(tmp_path: Path) -> None:
    book = make_book(tmp_path, url="https://github.com/owner/name/", c1="# T\n\ntext")
    note, set_up, _ = cells_of(book, "c1")

    assert "[`book/c1.md`](https://github.com/owner/name/blob/main/book/c1.md)" in note.source
    colab = "https://colab.research.google.com/github/owner/name/blob/main/book/c1.ipynb"
    assert f"[Open it in Colab]({colab})" in note.source
    assert "'git+https://github.com/owner/name@main'" in set_up.source
    make_book(tmp_path, url="https://github.com/owner/name", version="1.0")
    note, set_up, _ = cells_of(book, "c1")
    assert "/blob/main/book/c1.md" in note.source
    assert "'git+https://github.com/owner/name@v1.0'" in set_up.source
    make_book(tmp_path, url="https://gitlab.example.org/owner/name")
    note, set_up, _ = cells_of(book, "c1")
    assert "(https://gitlab.example.org/owner/name/-/blob/main/book/c1.md)" in note.source
    assert "Colab" not in note.source
    make_book(tmp_path)
    note, set_up, _ = cells_of(book, "c1")
    assert "http" not in note.source + set_up.source
    make_book(tmp_path, url="https://github.com/owner/name")
    config = tmp_path / "_config.yml"
    config.write_text(config.read_text().replace("branch: main", "branch:"))
    with pytest.raises(ValueError, match=r"repository\.branch"):
        Book(book)


def test_an_exercise_has_a_cell_with_its_label(tmp_path: Path) -> None:
    text = """# T

## Exercises

Before.

```{exercise-start} The first
:label: ex-one
```
Do it.

    ### Exercise 1.1 — The first

```{exercise-end}
```

```{exercise-start} The second
:label: ex-two
```
This, too.

```{code-cell} ipython3
...
```
```{exercise-end}
```
"""
    book = make_book(tmp_path, **{"01_one": text})
    cells = cells_of(book, "01-one")[2:]
    assert [cell.source.split("\n")[0] for cell in cells] == [
        "## Exercises",
        "### Exercise 1.1 — The first",
        "### Exercise 1.2 — The second",
        "...",
    ]
    assert [cell.id for cell in cells[1:3]] == ["ex-one", "ex-two"]
    assert [cell.metadata.get("id") for cell in cells] == [None, "ex-one", "ex-two", None]
    write(book)
    assert exercise_cells(book / "01-one.ipynb") == {
        "Exercise 1.1": "ex-one",
        "Exercise 1.2": "ex-two",
    }


SERVICES = {
    "colab_url": "https://colab.example.org/",
    "kaggle_url": "https://kaggle.example.org",
    "binderhub_url": "https://binder.example.org",
}


def test_links_that_open_a_notebook_at_a_cell() -> None:
    repository = Repository("https://github.com/o/n", "main", "book", services=SERVICES)
    assert repository.launch_links("c.ipynb", "ex-one") == {
        "Colab": "https://colab.example.org/github/o/n/blob/main/book/c.ipynb#scrollTo=ex-one",
        "Kaggle": "https://kaggle.example.org/kernels/welcome?src="
        "https://github.com/o/n/blob/main/book/c.ipynb",
        "Binder": "https://binder.example.org/v2/gh/o/n/main?urlpath=lab/tree/book/c.ipynb",
    }
    assert "#" not in "".join(repository.launch_links("c.ipynb").values())
    for url, path in {
        "https://gitlab.com/o/n": "gl/o%2Fn",
        "https://git.example.org/o/n": "git/https%3A%2F%2Fgit.example.org%2Fo%2Fn",
    }.items():
        links = Repository(url, "main", "book", services=SERVICES).launch_links("c.ipynb")
        assert set(links) == {"Binder"}
        assert f"/v2/{path}/main?" in links["Binder"]
    assert Repository("", "", "book", services=SERVICES).launch_links("c.ipynb") == {}
    assert Repository("https://github.com/o/n", "main", "book").launch_links("c.ipynb") == {}


@pytest.mark.parametrize(
    ("version", "tag"),
    [("0.2.0", "v0.2.0"), ("1.0.1", "v1.0.1"), ("0.2.0.dev0", ""), ("1.0rc1", "v1.0rc1")],
)
def test_the_tag_is_that_of_the_version(tmp_path: Path, version: str, tag: str) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text(f'[project]\nversion = "{version}"\n')
    assert release_tag(project) == tag


def test_the_version_stands_in_one_place() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    version = tomllib.loads(project)["project"]["version"]
    number = version.removesuffix(".dev0")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    # Locks and cards name versions of others; the log names every version.
    elsewhere = re.compile(
        r"requirements\.lock|package-lock\.json|CHANGELOG\.md|data/|tests/|\.ipynb$"
    )
    for name in tracked.stdout.splitlines():
        path = ROOT / name
        if path.suffix in {".py", ".toml", ".yml", ".cff", ".md", ".json", ".sh"} and not (
            elsewhere.search(name)
        ):
            text = path.read_text("utf-8")
            found = re.findall(rf"(?<![\d.=]){re.escape(number)}(?:\.dev0)?(?![\d.]\d)", text)
            assert len(found) == (1 if name == "pyproject.toml" else 0), (name, found)


def test_the_same_bytes_every_time_and_ids_that_stay(tmp_path: Path) -> None:
    book = make_book(tmp_path, c1=CHAPTER, c2="# Two\n\nsame\n\n+++\n\nsame")
    first, second = Book(book).notebooks(), Book(book)
    assert second.notebooks() == first == second.notebooks()

    before = [cell.id for cell in cells_of(book, "c1")]
    assert len(set(before)) == len(before)
    assert len({cell.id for cell in cells_of(book, "c2")}) == 4
    chapter = book / "c1.md"
    chapter.write_text(chapter.read_text().replace("Another cell.", "Another cell!"))
    after = [cell.id for cell in cells_of(book, "c1")]
    assert [a == b for a, b in zip(before, after, strict=True)].count(False) == 1


def test_write_and_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    book = make_book(tmp_path, c1=CHAPTER, intro="---\n---\n# Intro\n")
    notebook = book / "c1.ipynb"
    assert check(book) == [f"{notebook}: missing"]
    assert write(book) == [notebook]
    assert write(book) == []
    assert check(book) == []
    assert main(["--check", str(book)]) == 0

    good = notebook.read_text()
    notebook.write_text(good.replace("Another cell.", "Another cell!"))  # edited by hand
    assert check(book) == [f"{notebook}: out of step with c1.md"]
    assert main([str(book)]) == 0
    assert notebook.read_text() == good

    chapter = book / "c1.md"
    chapter.write_text(chapter.read_text().replace("The end.", "The end!"))  # one character
    assert main(["--check", str(book)]) == 1
    assert f"{notebook}: out of step with c1.md" in capsys.readouterr().err
    assert notebook.read_text() == good

    assert main([str(book)]) == 0
    (book / "gone.ipynb").write_text("{}")
    assert check(book) == [f"{book / 'gone.ipynb'}: no chapter gone.md with a kernelspec"]

    chapter.write_text(chapter.read_text() + "\n{nonsense}`x`\n")
    capsys.readouterr()
    assert main([str(book)]) == 1
    assert "the role {nonsense}" in capsys.readouterr().err


def test_jupytext_reads_the_same_code_from_chapter_and_notebook(tmp_path: Path) -> None:
    def code(cells: list[nbformat.NotebookNode]) -> list[str]:
        sources = (cell.source for cell in cells if cell.cell_type == "code")
        return [re.sub(r"\A# @title .*\n", "", source) for source in sources]

    book = make_book(tmp_path, c1=CHAPTER)
    notebook = nbformat.reads(Book(book).notebooks()[book / "c1.ipynb"], as_version=4)
    back = jupytext.reads(jupytext.writes(notebook, fmt="md:myst"), fmt="md:myst")

    assert code(back.cells) == code(notebook.cells)
    chapter = jupytext.reads((book / "c1.md").read_text(), fmt="md:myst")
    assert code(notebook.cells)[1:] == code(chapter.cells)


LINES = st.text(st.sampled_from("ab1 \t=#%$:`~{}()[]<>|*_\\'\"!^+-.é…"), max_size=12)
CODE = st.lists(LINES.map(str.rstrip), min_size=1, max_size=6).map("\n".join)


@given(
    st.lists(
        st.tuples(CODE.filter(lambda c: c.strip() and c == c.strip("\n")), st.booleans()),
        min_size=1,
        max_size=4,
    )
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_code_is_never_altered(tmp_path: Path, cells: list[tuple[str, bool]]) -> None:
    parts = ["# T", EXERCISE + "```{exercise-end}\n```"]
    for code, solution in cells:
        fence = "`" * (3 + max((len(run) for run in re.findall("`+", code)), default=0))
        cell = f"{fence}{{code-cell}}\n\n{code}\n{fence}"
        gates = ("```{solution-start} e\n```", "```{solution-end}\n```")
        parts += [gates[0], cell, gates[1]] if solution else [cell]
    book = make_book(tmp_path, c1="\n\n".join(parts) + "\n")

    made = [c.source for c in cells_of(book, "c1") if c.cell_type == "code"][1:]

    for (code, solution), source in zip(cells, made, strict=True):
        titled = solution and not code.startswith("%%")
        assert source == ("# @title Solution to exercise 1\n" if titled else "") + code


# The first code cell, run for real ----------------------------------------------------------------

FAKE_TORCH = """
__version__ = "{version}"
class accelerator:
    is_available = staticmethod(lambda: False)
"""
BACKEND = '''
"""Builds the wheel of a package of one file, with nothing but the standard library."""
import zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "tiny_companion-1.2-py3-none-any.whl"
    info = "tiny_companion-1.2.dist-info/"
    with zipfile.ZipFile(f"{wheel_directory}/{name}", "w") as wheel:
        wheel.writestr("companion/__init__.py", '__version__ = "1.2"\\n')
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: tiny-companion\\n"
                       "Version: 1.2\\nRequires-Dist: torch>=TORCH\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\n"
                       "Tag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
    return name
'''


def fake_package(folder: Path, name: str, version: str, code: str) -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text(code)
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text("")
    (info / "INSTALLER").write_text("pip\n")


def run_cell(source: str, python: list[str], cwd: Path, **more: str) -> tuple[int, str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "PYTHON"))}
    command = [*python, "-c", source]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=kept | more, check=False
    )
    return done.returncode, done.stdout, done.stderr


BARE = [sys.executable, "-S"]  # no site-packages: only what the test puts on the path


@pytest.mark.parametrize(
    ("url", "colab", "wants_gpu"),
    list(product(["", "https://example.org/x"], [False, True], [False, True])),
)
def test_first_cell_where_companion_is_there(
    url: str, colab: bool, wants_gpu: bool, tmp_path: Path
) -> None:
    fake_package(tmp_path / "lib", "companion", "9.9", '__version__ = "9.9"')
    fake_package(tmp_path / "lib", "torch", "2.99", FAKE_TORCH.format(version="2.99+cpu"))
    cell = bootstrap(Repository(url, "main", "book"), wants_gpu=wants_gpu)
    if colab:
        cell = 'import sys\nsys.modules["google.colab"] = sys\n' + cell

    status, out, err = run_cell(cell, BARE, tmp_path, PYTHONPATH=str(tmp_path / "lib"))

    assert (status, err) == (0, "")
    assert out.startswith("companion 9.9, torch 2.99+cpu, device: cpu\n")
    assert ("Change runtime type" in out) == (colab and wants_gpu)


def test_first_cell_where_companion_is_missing_and_has_no_address(tmp_path: Path) -> None:
    status, out, err = run_cell(
        bootstrap(Repository("", "", "book"), wants_gpu=False), BARE, tmp_path
    )

    assert (status, out) == (1, "")
    last = err.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: companion, the library of this book, is missing")
    assert "pip install path/to/the/project" in last


@pytest.fixture(scope="module")
def colab_like(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path, dict[str, str]]:
    """An environment with a torch of its own, and a shelf with a newer one to tempt pip."""
    folder = tmp_path_factory.mktemp("colab")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    library = next((folder / "env" / "lib").glob("python*")) / "site-packages"
    pip = importlib.util.find_spec("pip")
    assert pip is not None
    assert pip.submodule_search_locations
    (library / "pip").symlink_to(pip.submodule_search_locations[0])
    fake_package(library, "torch", "2.5.1+cu121", FAKE_TORCH.format(version="2.5.1+cu121"))
    shelf = folder / "shelf"
    shelf.mkdir()
    with zipfile.ZipFile(shelf / "torch-2.99-py3-none-any.whl", "w") as wheel:
        info = "torch-2.99.dist-info/"
        wheel.writestr("torch/__init__.py", FAKE_TORCH.format(version="2.99"))
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: torch\nVersion: 2.99\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")
    settings = {
        "PIP_CONFIG_FILE": os.devnull,  # Colab has none; this machine's may hold constraints
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(shelf),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_CACHE_DIR": "1",
    }
    return [str(folder / "env" / "bin" / "python")], library, settings


def repository_with(folder: Path, torch: str) -> Repository:
    """A git repository that holds a companion which asks for a torch."""
    source = folder / "source"
    source.mkdir()
    build = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    (source / "pyproject.toml").write_text(build)
    (source / "backend.py").write_text(BACKEND.replace("TORCH", torch))
    who = [
        "-c",
        "user.name=Test",
        "-c",
        "user.email=test@example.org",
        "-c",
        "commit.gpgsign=false",
    ]
    for command in (["init", "-b", "main"], ["add", "."], [*who, "commit", "-m", "Companion"]):
        subprocess.run(["git", "-C", str(source), *command], check=True, capture_output=True)
    return Repository(source.as_uri(), "main", "book")


def test_first_cell_keeps_colabs_torch_where_pip_would_replace_it(
    tmp_path: Path, colab_like: tuple[list[str], Path, dict[str, str]]
) -> None:
    python, library, settings = colab_like
    cell = bootstrap(repository_with(tmp_path, torch="2.6"), wants_gpu=False)

    status, _, err = run_cell(cell, python, tmp_path, **settings)

    assert status == 1
    assert "RuntimeError: pip could not install companion:" in err
    assert "torch==2.5.1+cu121" in err  # what was to be kept
    assert (library / "torch-2.5.1+cu121.dist-info").exists()
    assert not (library / "companion").exists()


def test_first_cell_installs_what_is_missing(
    tmp_path: Path, colab_like: tuple[list[str], Path, dict[str, str]]
) -> None:
    python, _, settings = colab_like
    cell = bootstrap(repository_with(tmp_path, torch="2.4"), wants_gpu=False)

    status, out, err = run_cell(cell, python, tmp_path, **settings)

    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "Installing companion, the library of this book …",
        "companion 1.2, torch 2.5.1+cu121, device: cpu",
    ]
    status, out, _ = run_cell(cell, python, tmp_path, **settings)  # a second time
    assert out.splitlines() == ["companion 1.2, torch 2.5.1+cu121, device: cpu"]


# The book -----------------------------------------------------------------------------------------


def test_only_chapters_that_train_ask_for_a_gpu() -> None:
    asking = [path for path in CHAPTERS if "  gpu: true\n" in path.read_text()]

    assert asking
    for path in asking:
        notebook = nbformat.read(path.with_suffix(".ipynb"), as_version=4)
        assert notebook.metadata.accelerator == "GPU"
        assert any("fit(" in cell.source for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize(
    "notebook", sorted((ROOT / "book").glob("*.ipynb")), ids=lambda path: path.stem
)
def test_a_figure_is_the_last_thing_in_its_cell(notebook: Path) -> None:
    # Anywhere else its value is dropped, and nothing is shown.
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code":
            for statement in ast.parse(cell.source).body[:-1]:
                if isinstance(statement, ast.Expr):
                    assert not ast.unparse(statement).startswith("figures.")


def test_nothing_in_the_book_is_out_of_step() -> None:
    assert check(ROOT / "book") == []
