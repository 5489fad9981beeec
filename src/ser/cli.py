"""The command line: `ser` with predict, demo, corpora, link, study, new, compare, report and leaderboard. `dvc repro`
runs studies.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ser import __version__
from ser.core.errors import SerError, run_command

EPILOG = """
a study in four steps:
  ser corpora                                   which corpora are here, and how to get the others
  ser link iemocap /data/IEMOCAP_full_release   use the copy you have
  ser study new mine --corpora emodb,iemocap    a folder studies/mine with its own params.yaml and graph
  dvc repro studies/mine/dvc.yaml               run it; `dvc metrics show` prints its numbers

studies that are in the repository (studies/NAME) are started first: ser study start NAME
"""


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(
        prog="ser", description="Speech emotion recognition, reproduced.", epilog=EPILOG, formatter_class=raw
    )
    top.add_argument("--version", action="version", version=f"ser {__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)

    corpora = commands.add_parser("corpora", help="table of corpora: licence, which are here, how to get the others")
    corpora.add_argument("name", nargs="?", help="one corpus: its whole card")
    corpora.set_defaults(run=lambda a: _corpora(a.name))

    link = commands.add_parser("link", help="use a corpus that you already have, where it is")
    link.add_argument("corpus", help="name of the corpus, as `ser corpora` lists it")
    link.add_argument("path", type=Path, help="its folder, as unpacked from the original archive")
    link.set_defaults(run=lambda a: _link(a.corpus, a.path))

    study = commands.add_parser("study", help="make or start a study, or ask what it would run again")
    studies = study.add_subparsers(dest="study_command", metavar="COMMAND", required=True)
    new = studies.add_parser("new", help="make and start a study with only the corpora you have, so that it runs whole")
    new.add_argument("name", help="name of the study: letters, digits, - and _")
    new.add_argument("--corpora", required=True, help="comma-separated, such as emodb,ravdess")
    new.add_argument(
        "--experiments",
        default="*",
        help="comma-separated names or patterns, such as 'svm-*' (default: all on these corpora)",
    )
    new.add_argument("--base", default="demo", help="study to copy settings from (default: demo)")
    new.add_argument(
        "--source", choices=("real", "synthetic"), help="default: real where the corpus is here, else as in the base"
    )
    new.add_argument("--csv", help="your own table (columns file, speaker, emotion), for --corpora table")
    new.add_argument("--audio", help="folder that the paths in the CSV are relative to (default: that of the CSV)")
    new.set_defaults(run=_study_new)
    start = studies.add_parser("start", help="copy the graph into the folder of a study, so that DVC can run it")
    start.add_argument("name", help="name of the study: a folder of studies/")
    start.set_defaults(run=_study_start)
    status = studies.add_parser("status", help="what `dvc repro` would run, why, and how long that took before")
    status.add_argument("name", nargs="?", default="demo", help="name of the study (default: demo)")
    status.set_defaults(run=_study_status)

    made = commands.add_parser(
        "new", help="write a file to start from: a model, feature, protocol or corpus of your own"
    )
    made.add_argument(
        "kind",
        choices=("model", "classifier", "feature", "protocol", "corpus"),
        help="model: of torch; classifier: in the style of scikit-learn",
    )
    made.add_argument("name", help="name of the file: lower-case letters, digits and _")
    made.set_defaults(run=_new)

    predict = commands.add_parser("predict", help="predict your own recordings with a package of a trained experiment")
    predict.add_argument("package", metavar="PACKAGE", help="its folder, such as data/demo/packages/cnns-emodb")
    predict.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="audio files, folders, tables (CSV with a column file), or - for a list of paths on stdin",
    )
    predict.add_argument("--out", type=Path, help="table to write (default: to the terminal); a stopped call continues")
    predict.add_argument("--window", type=float, help="predict windows of this many seconds, for long recordings")
    predict.add_argument("--hop", type=float, help="seconds from one window to the next (default: one window)")
    predict.set_defaults(run=_predict)

    demo = commands.add_parser("demo", help="a page on this machine that predicts your microphone with a package")
    demo.add_argument("package", metavar="PACKAGE", help="its folder, such as data/demo/packages/cnns-emodb")
    demo.add_argument("--port", type=int, default=8765, help="of the page on 127.0.0.1 (default: 8765; 0: a free one)")
    demo.set_defaults(run=_demo)

    compare = commands.add_parser("compare", help="is one experiment better than another? Paired tests over speakers")
    compare.add_argument("a", metavar="A", help="an experiment of the study, as `dvc metrics show` names it")
    compare.add_argument("b", metavar="B", help="another one, on the same utterances")
    compare.add_argument("--study", help="name of the study (default: the one that has both experiments)")
    compare.set_defaults(run=_compare)

    report = commands.add_parser("report", help="where the report of a study is; --open shows it")
    report.add_argument("study", nargs="?", default="demo", help="name of the study (default: demo)")
    report.add_argument("--open", action="store_true", help="open it in the browser")
    report.set_defaults(run=lambda a: _report(a.study, a.open))

    leaderboard = commands.add_parser("leaderboard", help="the results of all studies here in one table")
    leaderboard.set_defaults(run=lambda a: _leaderboard())
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    run_command(lambda: options.run(options))


def _corpora(name: str | None) -> None:
    from ser.corpora import overview

    print(overview.card(name) if name else overview.table())


def _link(corpus: str, path: Path) -> None:
    from ser.corpora import overview

    print(overview.link(corpus, path))


def _new(options: argparse.Namespace) -> None:
    from ser.settings import skeleton

    print(skeleton.new(options.kind, options.name))


def _study_new(options: argparse.Namespace) -> None:
    from ser.settings import study

    corpora, patterns = _names(options.corpora), _names(options.experiments)
    print(study.new(options.name, corpora, patterns, options.base, options.source, options.csv, options.audio))


def _names(text: str) -> list[str]:
    """Parts of a comma-separated list; spaces around them do not count."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _study_start(options: argparse.Namespace) -> None:
    from ser.settings import study

    print(study.start(options.name))


def _study_status(options: argparse.Namespace) -> None:
    from ser.settings import status

    print(status.status(options.name))


def _predict(options: argparse.Namespace) -> None:
    from ser.packages import predict
    from ser.packages.recordings import Window

    window = None
    if options.window is not None or options.hop is not None:
        window = Window(options.window or 0.0, options.window or 0.0 if options.hop is None else options.hop)
        if min(window) <= 0:
            raise SerError("window and hop are seconds above 0, and a hop needs a window", "ser predict --window --hop")
    predict.run(options.package, options.paths, options.out, window)


def _report(study: str, browser: bool) -> None:
    from ser.core.files import repro
    from ser.core.layout import Layout

    path = Layout(study).report / "report.html"
    if not path.exists():
        raise SerError("no report here", path, f"Make it: {repro(path.parent)}")
    print(path)
    if browser:
        import webbrowser

        if not webbrowser.open(path.resolve().as_uri()):
            raise SerError("no browser was found", path, "Open the file by hand, or copy it: it is one file")


def _leaderboard() -> None:
    from ser.report import leaderboard

    print(leaderboard.table())


def _demo(options: argparse.Namespace) -> None:
    from ser.packages import demo

    demo.run(options.package, options.port)


def _compare(options: argparse.Namespace) -> None:
    from ser.evaluation import wording

    print(wording.run(options.study or _study_of(options.a, options.b), options.a, options.b))


def _study_of(*experiments: str) -> str:
    """The study that has all these experiments; the demo where none has them. Raises `SerError` for several."""
    found = {p.parts[1] for p in Path("metrics").glob(f"*/details/{experiments[0]}.json")}
    for experiment in experiments[1:]:
        found &= {p.parts[1] for p in Path("metrics").glob(f"*/details/{experiment}.json")}
    if len(found) > 1:
        what = f"several studies have these experiments: {', '.join(sorted(found))}"
        raise SerError(what, "ser compare", "Name one: --study NAME")
    return found.pop() if found else "demo"


if __name__ == "__main__":
    main()
