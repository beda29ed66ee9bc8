"""`make book`: bundle the front end, write the notebooks, build the site, say how to open it."""

import argparse
import os
import subprocess
import sys
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

from companion.site import notebooks
from companion.site.frontend import ROOT, build_frontend

SITE = ROOT / "_build" / "html"


def build_book() -> int:
    """Build the book into _build/html with warnings as errors; returns the exit status."""
    start = time.perf_counter()
    build_frontend(ROOT)
    notebooks.write(ROOT / "book")
    start_jupyter_book = "from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", start_jupyter_book, "build", "book", "--path-output", "."]
    # A relative --toc would be looked for in book/.
    command += ["--config", "_config.yml", "--toc", str(ROOT / "_toc.yml")]
    command += ["-W", "-n", "--keep-going"]
    # Threads that wait for one another spin by default. Where other work wants the cores, a step of
    # a small network then takes twenty times as long; asleep they cost next to nothing.
    environment = {"OMP_WAIT_POLICY": "PASSIVE"} | os.environ
    status = subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode
    seconds = time.perf_counter() - start
    if status:
        print(f"The book was not built ({seconds:.0f} s): see the first warning or error above.")
    else:
        print(f"The book is built ({seconds:.0f} s). Open {SITE / 'intro.html'} in a browser,")
        print("or run `make serve`; to hand it out, zip the folder or put it on any web server.")
    return status


def serve(port: int) -> None:
    """Serve the built book on this machine only, until interrupted."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(SITE))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"The book is at http://localhost:{port}/intro.html (Ctrl-C ends).")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def main(arguments: list[str] | None = None) -> int:
    """Entry point of `python -m companion.site.build`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=int, metavar="PORT", help="serve the built book instead")
    options = parser.parse_args(arguments)
    if options.serve is not None:
        serve(options.serve)
        return 0
    return build_book()


if __name__ == "__main__":
    sys.exit(main())
