"""annotate: probe the videos, list what cannot be used, and hold out a part."""

from stages.common import run
from stages.video.common import ANNOTATION
from taehv import params
from taehv.annotate import annotate
from taehv.annotations import report, write


def main() -> None:
    annotation = annotate(params.load(params.AnnotateParams))
    report(annotation)
    write(annotation, ANNOTATION)


if __name__ == "__main__":
    run(main)
