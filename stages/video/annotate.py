"""annotate: probe the videos, list what cannot be used, and hold out a part."""

from stages.common import run, write_json
from stages.video.common import ANNOTATION, METRICS
from taehv import params
from taehv.annotate import annotate
from taehv.annotations import report, summary, write


def main() -> None:
    annotation = annotate(params.load(params.AnnotateParams))
    report(annotation)
    write(annotation, ANNOTATION)
    write_json(METRICS / "annotate.json", summary(annotation))


if __name__ == "__main__":
    run(main)
