"""Whether links lead somewhere: on small sites, a small web server, and in the built book."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from companion.site.links import broken, external, main, unreachable

GOOD = """<a href="b.html#there">b</a> <a href="#here">here</a> <p id="here"></p>
<link href="_static/a%20b.css?v=1"> <a href="https://example.org/x#y">x</a>
<a href="mailto:a@b.c">m</a> <a href="">this page</a> <img src="data:image/png;base64,AAAA">"""


@pytest.fixture
def small(tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "a b.css").write_text("p { background: url('x.png') }")
    (tmp_path / "_static" / "x.png").write_bytes(b"")
    (tmp_path / "a.html").write_text(GOOD)
    (tmp_path / "b.html").write_text('<h2 id="there">There</h2>')
    return tmp_path


def test_a_site_whose_links_all_lead_somewhere(small, capsys):
    assert broken(small) == []
    assert external(small) == {"https://example.org/x": ["a.html"]}
    assert main([str(small)]) == 0


@pytest.mark.parametrize(
    ("link", "problem"),
    [
        ('<a href="c.html">c</a>', "a.html: c.html is no file of the site"),
        ('<a href="b.html#where">b</a>', "a.html: b.html#where names no part of b.html"),
        ('<a href="#where">here</a>', "a.html: #where names no part of a.html"),
        ('<script src="_static/gone.js?v=3"></script>', "_static/gone.js?v=3 is no file"),
        ('<a href="/b.html">b</a>', "of the whole host"),
        ('<a href="../b.html">b</a>', "leads out of the site"),
    ],
)
def test_a_link_that_leads_nowhere(small, capsys, link, problem):
    (small / "a.html").write_text(GOOD + link)
    (found,) = broken(small)
    assert problem in found
    assert main([str(small)]) == 1
    assert problem in capsys.readouterr().err


def test_style_sheets_need_one_file_of_several(small):
    sheet = small / "_static" / "a b.css"
    sheet.write_text("@font-face { src: url(x.png) format('a'), url(y.png) format('b') }")
    assert broken(small) == []
    sheet.write_text(
        "@font-face { src: url(y.png); } p { background: url(data:image/png;base64,A) }"
    )
    assert broken(small) == ["_static/a b.css: y.png is no file of the site"]


def test_a_folder_without_pages(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "make book" in capsys.readouterr().err


def test_other_hosts_are_asked():
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(int(self.path.strip("/")))
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}"
    try:
        found = dict(unreachable([f"{home}/{code}" for code in (200, 403, 404, 500)]))
    finally:
        server.shutdown()
        server.server_close()
    assert found == {f"{home}/404": "answers 404", f"{home}/500": "answers 500"}
    ((address, problem),) = unreachable([f"{home}/200"])
    assert address == f"{home}/200"
    assert problem.startswith("does not answer")


@pytest.mark.browser  # which says that it needs the built book
def test_every_link_inside_the_book_leads_somewhere(site):
    assert broken(site) == []
