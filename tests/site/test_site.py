"""The Sphinx side: quizzes, formulas, what is embedded in a page, what the build refuses."""

import html
import json
import os
import re
import subprocess
import tempfile
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.datasets import photos
from companion.site import extension, katex, notices
from companion.site.activities.quiz import parse_question
from companion.site.frontend import NODE, STATIC, build_frontend, widget_names
from companion.widgets import Softmax
from conftest import ROOT
from support.small_book import build, cell, run

# --- quizzes -----------------------------------------------------------------------------------


def test_quiz_with_options():
    question = parse_question(
        [
            "What is $x$?",
            "",
            "Choose *one*.",
            "- [ ] It is one. | No.",
            "- [x] It is two, or",
            "  so. | Right.",
            "- [X] It is a pair.",
        ]
    )
    assert question.text == "What is $x$?\n\nChoose *one*."
    assert [option.text for option in question.options] == [
        "It is one.",
        "It is two, or so.",
        "It is a pair.",
    ]
    assert [option.feedback for option in question.options] == ["No.", "Right.", ""]
    assert [option.right for option in question.options] == [False, True, True]


@pytest.mark.parametrize(
    ("line", "value", "tolerance", "feedback"),
    [
        ("= 50 ± 0.5 | Right.", 50.0, 0.5, "Right."),
        ("= -0.8", -0.8, 0.0, ""),
        ("= −1e-3 ± 0.0001", -0.001, 0.0001, ""),
    ],
)
def test_quiz_with_a_number(line, value, tolerance, feedback):
    question = parse_question(["How much?", line])
    assert (question.value, question.tolerance, question.feedback) == (value, tolerance, feedback)


def test_quiz_with_expected_mistakes():
    question = parse_question(["How much?", "= -0.8", "≠ 0.8 | Mind the sign.", "≠ −1 | No."])
    assert question.mistakes == ((0.8, "Mind the sign."), (-1.0, "No."))


@pytest.mark.parametrize(
    "lines",
    [
        ["- [x] An answer.", "- [ ] Another."],
        ["A question?", "- [ ] Wrong.", "- [ ] Wrong too."],
        ["A question?", "- [x] The only one."],
        ["A question?", "- [x] Yes.", "- [ ] No.", "= 3"],
        ["A question without answers?"],
    ],
)
def test_bad_quizzes_are_refused(lines):
    with pytest.raises(ValueError, match="quiz"):
        parse_question(lines)


# --- formulas ----------------------------------------------------------------------------------


def test_formula_becomes_html_and_mathml():
    typeset = katex.render_math(r"\mathrm{KL}[q \,\|\, p] \ge 0", False)
    assert "<math" in typeset
    assert 'class="katex-html" aria-hidden="true"' in typeset
    assert "katex-display" in katex.render_math("a = b", True)


def test_formula_that_katex_rejects():
    with pytest.raises(ValueError, match=r"\\nonsense"):
        katex.render_math(r"\nonsense{x}", False)
    assert "<math" in katex.render_math("x", False), "the process lives on after an error"


# --- what is embedded in a page ------------------------------------------------------------------


@given(st.text())
def test_embedded_json_can_not_end_its_script(text):
    code = extension.script_json({"label": text})
    assert "<" not in code
    assert json.loads(code) == {"label": text}


def test_every_file_a_page_loads_exists():
    for name, source in extension.static_files():
        assert source.is_file(), name


def bundled_packages(entry):
    """The npm packages of which the bundle of an entry has something, as esbuild says."""
    with tempfile.TemporaryDirectory() as folder:
        meta = Path(folder, "meta.json")
        command = [str(NODE), "node_modules/esbuild/bin/esbuild", "--bundle", f"--metafile={meta}"]
        command += [f"--outfile={folder}/out.js", '--define:ENGINE_VERSION="1"']
        subprocess.run(command, input=entry, text=True, cwd=ROOT, check=True, capture_output=True)
        inputs = json.loads(meta.read_text())["inputs"]
    found = (re.match(r"node_modules/((?:@[^/]+/)?[^/]+)/", path) for path in inputs)
    return {match[1] for match in found if match}


def test_notices_name_every_package_that_a_bundle_holds():
    scripts = [*(ROOT / "companion" / "site" / "js").glob("*.js")]
    scripts += [ROOT / "companion" / "widgets" / "js" / f"{name}.js" for name in widget_names()]
    entry = "".join(f"import './{path.relative_to(ROOT).as_posix()}';" for path in scripts)
    bundled = bundled_packages(entry)
    assert bundled, "the icons' at least"
    assert bundled <= {part.package for part in notices.NPM}


def test_every_file_that_the_build_adds_has_an_owner():
    for name, source in extension.static_files():
        packages = {
            part.package for part in notices.NPM if f"node_modules/{part.package}/" in str(source)
        }
        if "node_modules" in source.parts:
            assert packages, name
            assert packages <= set(notices.parts_of(name)), name
        else:
            assert notices.is_ours(name) or notices.parts_of(name), name


def test_notices_name_photographs_and_requirements_and_print_the_licences():
    names = {name for split in photos.NAMES.values() for name in split}
    assert set(notices.PHOTOGRAPHS) == names
    text = html.unescape(notices.html())
    for part in (*notices.NPM, *notices.PYPI):
        assert f"<td>{part.package}</td>" in text
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        assert f"<td>{re.split('[><=]', line)[0]}</td>" in text
    for name, (who, terms) in notices.PHOTOGRAPHS.items():
        assert f"<td>{name}</td><td>{who}</td><td>{terms}</td>" in text
    assert "ML Illustrated" in text, "the notice of EfficientNet-Lite0"
    assert "TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION" in text
    assert "SIL OPEN FONT LICENSE" in text


def test_a_page_that_was_left_out_leaves_the_site(tmp_path):
    sources = [
        f"_sources/{name}{end}" for name in ("01-kept", "02-out") for end in (".md", ".ipynb")
    ]
    for name in (*sources, "01-kept.html", "02-out.html", "search.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    extension.remove_left_out(tmp_path, {"01-kept"})
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    assert left == {"_sources/01-kept.md", "_sources/01-kept.ipynb", "01-kept.html", "search.html"}


def test_repository_address_stands_in_one_place():
    config = (ROOT / "_config.yml").read_text("utf-8")
    url = re.search(r"^  url: (.*)$", config, re.MULTILINE)
    assert url
    address = url[1].strip().strip("\"'")
    if not address:
        pytest.skip("no address is set")
    for path in [*ROOT.glob("*.toml"), *ROOT.glob("companion/**/*.py"), *ROOT.glob("book/*.md")]:
        assert address not in path.read_text("utf-8"), path


# --- a build of a small book ---------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (cell("1 / 0"), "ZeroDivisionError"),
        (cell(":tags: [skip-execution]\n1 + 1"), "marked to be skipped"),
        (cell("import warnings; warnings.warn('careful')"), "stderr"),
        (
            cell("import plotly.graph_objects as go\ngo.Figure(go.Scatter(y=[1, 2]))"),
            "no alt text",
        ),
        ("$\\nonsense{x}$\n", "formula rejected"),
        ("```{quiz}\nA question without answers?\n```\n", "at least two options"),
        ("```{predict}\n:scale: 0 to 1\nWhat?\n= p\n```\n", "no cell of this page calls truth('p'"),
        ("```{task}\n:goal: p < 1\nTry.\n```\n", "no widget follows on this page"),
        (
            "```{task}\n:goal: p-right < 2\nTry.\n```\n"
            + cell("from companion.widgets import Softmax\nSoftmax()"),
            "has reached the goal before it is touched",
        ),
        ("`" + "```{note}\n" + cell("1 + 1") + "````\n", "code-cell"),
        ("{doc}`nowhere`\n", "nowhere"),
    ],
)
def test_the_build_stops_on(tmp_path, content, complaint):
    status, output = build(tmp_path, content)
    assert status != 0
    assert complaint in output


@pytest.mark.slow
def test_a_small_book_is_built_with_buttons_only_where_they_lead_somewhere(tmp_path):
    content = cell("6 * 7") + "\n$$\na &= b \\\\\nc &= d\n$$ (eq)\n\n{eq}`eq`\n"
    content += "```{exercise-start} First\n:label: ex-first\n```\nDo it.\n```{exercise-end}\n```\n"
    status, output = build(tmp_path / "plain", content)
    assert status == 0, output
    page = (tmp_path / "plain" / "_build" / "html" / "page.html").read_text("utf-8")
    assert "42" in page
    assert f'<a href="{notices.PAGE}.html">' in page
    site = tmp_path / "plain" / "_build" / "html"
    assert "Rachel Michetti" in (site / f"{notices.PAGE}.html").read_text("utf-8")
    static = site / "_static"
    for file in (path for path in static.rglob("*") if path.is_file()):
        name = file.relative_to(static).as_posix()
        assert notices.is_ours(name) or notices.parts_of(name), f"whose is {name}?"
    assert page.index("Content-Security-Policy") < page.index("<script")
    for nowhere in ("mybinder", "colab.research", "executablebooks/jupyter-book"):
        assert nowhere not in page
    download = '<a href="_sources/page.ipynb" download>download</a>'
    assert f"In the notebook, under “Exercise 1”: {download}" in page
    address = "https://github.com/somebody/some-book"
    status, output = build(tmp_path / "launch", content, url=address)
    assert status == 0, output
    page = html.unescape((tmp_path / "launch" / "_build" / "html" / "page.html").read_text("utf-8"))
    book = "somebody/some-book"
    colab = f"https://colab.research.google.com/github/{book}/blob/main/book/page.ipynb"
    kaggle = f"https://kaggle.com/kernels/welcome?src={address}/blob/main/book/page.ipynb"
    binder = f"https://mybinder.org/v2/gh/{book}/main?urlpath=lab/tree/book/page.ipynb"
    places = [page.index(f'href="{url}"') for url in (colab, kaggle, binder)]
    assert places == sorted(places), "Colab first"
    assert "minutes" in page[places[2] : places[2] + 300], "Binder's wait is said"
    assert f'<a href="{colab}#scrollTo=ex-first">Colab</a>' in page
    assert f'<a href="{binder}">Binder (wait some minutes)</a>' in page


@pytest.mark.slow
def test_a_widget_is_drawn_and_drawn_anew_when_its_module_changes(tmp_path):
    build_frontend(quiet=True)
    status, output = build(tmp_path, cell("from companion.widgets import Softmax\n\nSoftmax()"))
    assert status == 0, output
    assert "Executing notebook" in output
    page = tmp_path / "_build" / "html" / "page.html"
    still = page.read_text("utf-8").split('<div class="companion-preview">')[1]
    assert f"= {Softmax().loss:.3f} nats" in re.sub("<[^>]*>", "", still.split("</section>")[0])

    status, output = run(tmp_path)
    assert status == 0, output
    assert "0 added, 0 changed" in output
    module = STATIC / "softmax.js"
    before = module.stat()
    try:
        os.utime(module)
        status, output = run(tmp_path)
    finally:
        os.utime(module, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert status == 0, output
    assert "0 added, 1 changed" in output
    assert "Executing notebook" not in output, "the chapter's outputs are kept"
