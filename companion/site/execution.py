"""Chapters executed side by side, before Sphinx reads them one after the other.

Sphinx then finds each of them in the cache. A chapter that fails is left to it, which runs it again
and says where it failed.
"""

import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import ExecutionResult, single_nb_execution
from myst_nb.core.read import create_nb_reader
from myst_nb.sphinx_ import SphinxEnvType
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.util import logging

from companion.site import runs
from companion.threads import allowed_processors

logger = logging.getLogger(__name__)

# At most so many kernels at a time, whatever the processors: each may hold a gigabyte.
_KERNELS = 4


def execute_chapters(app: Sphinx, env: SphinxEnvType, docnames: Iterable[str]) -> None:
    """Execute the chapters that are to be read and not in the cache, a kernel a processor."""
    cache = get_cache(env.mystnb_config.execution_cache_path)
    notebooks: dict[str, NotebookNode] = {}
    for docname in docnames:
        path = Path(env.doc2path(docname))
        text = path.read_text("utf-8")
        reader = create_nb_reader(str(path), env.myst_config, env.mystnb_config, text)
        if reader is None:
            continue
        notebooks[str(path)] = reader.read(text)
    if not notebooks:
        return
    prints = runs.run_fingerprints(map(_code, notebooks.values()))
    chapters = dict(zip(notebooks, zip(prints, notebooks.values(), strict=True), strict=True))
    taken = runs.take_over(cache, chapters)
    if taken:
        logger.info("%d chapters can reach nothing that changed: their runs stay", len(taken))
    waiting = [(Path(path), nb) for path, nb in notebooks.items() if not runs.has_run(cache, nb)]
    kernels = min(len(waiting), allowed_processors(), _KERNELS)
    if kernels < 2:
        return
    # Long ones first, so that none is left over when the others are done.
    waiting.sort(key=lambda chapter: chapter[0].stat().st_size, reverse=True)
    start = time.perf_counter()
    logger.info("executing %d chapters, %d at a time", len(waiting), kernels)
    with _share_of_threads(kernels), ThreadPoolExecutor(kernels) as pool:
        running = {
            pool.submit(_execute, path, notebook, env.mystnb_config.execution_timeout): path
            for path, notebook in waiting
        }
        for number, future in enumerate(as_completed(running), start=1):
            path, result = running[future], future.result()
            if result.err is None:
                bundle = CacheBundleIn(
                    result.nb, str(path), data={"execution_seconds": result.time}
                )
                cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            logger.info(
                "%s %s in %.0f s (%d of %d, %.0f s)",
                path.stem,
                "failed" if result.err else "executed",
                result.time,
                number,
                len(waiting),
                time.perf_counter() - start,
            )


def _code(notebook: NotebookNode) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


def _execute(path: Path, notebook: NotebookNode, timeout: int) -> ExecutionResult:
    return single_nb_execution(notebook, cwd=str(path.parent), timeout=timeout, allow_errors=False)


@contextmanager
def _share_of_threads(kernels: int) -> Iterator[None]:
    """Each kernel that starts meanwhile computes on its share of the processors.

    A number that the user chose stays.
    """
    name = "OMP_NUM_THREADS"
    if name in os.environ:
        yield
        return
    os.environ[name] = str(max(1, allowed_processors() // kernels))
    try:
        yield
    finally:
        del os.environ[name]
