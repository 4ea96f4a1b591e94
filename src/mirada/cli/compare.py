"""``mirada compare``."""

from pathlib import Path

import click

from mirada.cli.console import ProgressBar, say
from mirada.cli.files import new_file, new_name, paper_option, told_of, told_of_paper

PAGE = b'<p class="eyebrow">Runs beside each other</p>'  # by which the verb knows a page of its own


@click.command(epilog="mirada runs FOLDER lists the runs there are.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False))
@click.option(
    "--output", type=click.Path(dir_okay=False), default="compare.html", show_default=True, callback=new_name,
    help="The page to write.",
)  # fmt: skip
@paper_option
@click.option("--json", "as_text", is_flag=True, help="Print the comparison as JSON instead of sentences.")
def command(runs: tuple[str, ...], output: str, paper: str | None, as_text: bool) -> int:
    """Set runs beside each other: each beside the first, on the images that both were judged by.

    RUNS are two to six folders that `mirada train` made; one of several seeds is one recipe. The page shows the
    settings that differ, the curves over each other, the difference with its interval, and the images on which they
    disagree. "Better" is said only where neither other images nor other seeds explain the difference.
    """
    import json

    from mirada.jobs.compare import as_json, compare_runs
    from mirada.pages.compare import run_names, sentence, write_comparison, write_comparison_paper

    with ProgressBar() as progress:
        page = compare_runs([Path(run) for run in runs], on_event=progress.on_event)
    with new_file(Path(output), is_own=_is_own) as file:
        write_comparison(page, file)
    told_of(output, file)
    written = write_comparison_paper(page, Path(paper)) if paper else None
    if as_text:
        say(*json.dumps(as_json(page), indent=2, ensure_ascii=False).splitlines())
    else:
        say(*sentence(run_names(page.runs), page), file)
    if written:
        told_of_paper(written, err=as_text)
    return 0


def _is_own(file: Path) -> bool:
    return PAGE in file.read_bytes()
