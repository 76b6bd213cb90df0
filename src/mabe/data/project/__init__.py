"""A folder of somebody's own recordings: what lies in it, and the two files that say what it means.

    recordings.csv    a row per recording: its pose file, its annotation, its frame rate, its scale (`table`)
    project.yaml      what the parts, animals and behaviours in the files are (`project`)

`mabe init` looks through the folder (`looking`), pairs the files (`pairing`), guesses (`guesses`) and writes both
(`init`, `writing`); the reader `mabe.data.readers.own` makes recordings of them.
"""

RECORDINGS = "recordings.csv"
PROJECT = "project.yaml"
