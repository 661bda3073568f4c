"""`zslbench site`: a public leaderboard, as a repository of bundles and a page."""

from pathlib import Path
from typing import Annotated

import typer

from zslbench.cli import options as opt

app = typer.Typer(no_args_is_help=True)


@app.callback()
def site() -> None:
    """Make a public leaderboard, and build its page.

    Examples:
      zslbench site init leaderboard

      zslbench site build leaderboard --data-root ~/data
    """


@app.command(cls=opt.Command)
def init(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder.", metavar="FOLDER")],
) -> None:
    """Write the repository of a public leaderboard: README, GitHub Actions workflow, bundles/.

    A pull request brings a bundle; the workflow verifies it and, once it is merged, builds and
    publishes the page. The README says what the owner sets up, and what is trusted.

    Examples:
      zslbench site init leaderboard
    """
    from zslbench.studies.site.folder import make_site

    make_site(folder)
    print(f"{folder}: written. Its README.md says what comes next.")


@app.command(cls=opt.Command)
def build(
    folder: Annotated[Path, typer.Argument(help="The repository.", metavar="FOLDER")] = Path(),
    data_root: opt.DataRoot = opt.DATA_ROOT,
) -> None:
    """Verify all bundles of a public leaderboard and write its page, page/index.html.

    Runs whose test labels are below --data-root are verified; the others are claimed. A bundle
    that is contradicted, does not say who ran it, or has other numbers for a run of another bundle
    is left out and named (exit status 1).

    Examples:
      zslbench site build leaderboard --data-root ~/data
    """
    from zslbench.studies.bundles.own_data import OwnData
    from zslbench.studies.progress import Display, say
    from zslbench.studies.site.build import build_site

    with Display() as display:
        own = OwnData(data_root, lambda done, n: display.tick("drawing images", done, n))
        made = build_site(folder, own, lambda done, n: display.tick("verifying bundles", done, n))
    print(f"{made.page}: {made.verified} runs verified, {made.claimed} claimed")
    for name, reason in made.left_out.items():
        say(f"left out: {name}: {reason}")
    raise typer.Exit(1 if made.left_out else 0)
