"""DICOM files say whose they are: the patient's hash becomes the group, so that nobody is in two splits."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from mmap import ACCESS_READ, mmap
from pathlib import Path

import numpy as np

from mirada.data.index import Index
from mirada.data.parallel import parallel_map
from mirada.data.pixels.dicom import DicomFacts, dicom_facts
from mirada.data.pixels.raw import DecodeError
from mirada.data.sources.names import container
from mirada.errors import counted
from mirada.samples import Classes

DICOM = frozenset((".dcm", ".dicom"))
FEW = 5  # images, below which one patient may well be all
NEARLY_ALL = 0.8  # of the images: no patient has so many, a word in place of a name may


def with_patients(index: Index) -> Index:
    """The index grouped by the patients of its DICOM files, where it has some and no groups yet.

    A DICOM file that says no patient is a group of its own, with all its frames; so is any other image. Files that
    say none and give one frame each need no groups. Files of several frames of which none is named are in a note.

    A patient of nearly all images, or one for each class, is none but a word such as ANONYMOUS, and is not used.
    """
    files = [str(container(Path(path))) for path in index.paths]
    dicom = sorted({file for file in files if Path(file).suffix.lower() in DICOM})
    if not dicom:
        return index
    read = parallel_map(partial(_facts, index.root), dicom, what="reading DICOM headers")
    headers = dict(zip(dicom, read, strict=True))
    facts = {file: found for file, found in headers.items() if found}
    notes = (*index.notes, *_frame_note(facts, set(index.paths)))
    if index.groups:
        return replace(index, notes=notes)
    patients = {file: found.patient for file, found in facts.items() if found.patient}
    words, said = _no_patients(index, [patients.get(file, "") for file in files])
    patients = {file: patient for file, patient in patients.items() if patient not in words}
    notes += said
    groups = tuple(
        patients.get(file, file if file in headers else path)
        for file, path in zip(files, index.paths, strict=True)
    )
    divided = len(set(groups)) < len(set(index.paths))
    if not (patients or divided):
        return replace(index, notes=notes)
    by = (
        f"the patient of the DICOM files, {counted(len(set(patients.values())), 'patient')}"
        if patients
        else "the DICOM file, with all its frames"
    )
    return replace(index, groups=groups, notes=(*notes, f"group: {by}"))


def _no_patients(index: Index, patients: Sequence[str]) -> tuple[set[str], tuple[str, ...]]:
    """The patients that cannot be meant, of those that each image says, and a note on them."""
    rows = len(patients)
    if rows < FEW:
        return set(), ()
    first, count = Counter(patients).most_common(1)[0]
    if first and count >= NEARLY_ALL * rows:
        note = f"{count:,} of {rows:,} images are said to be of one patient, which is taken for none, as ANONYMOUS is"
        return {first}, (
            f"not used: the patient of the DICOM files where {note}; name a `group` to keep patients apart",
        )
    said = (f"group: one patient has {count:,} of the {rows:,} images",) if first and 2 * count > rows else ()
    match index.target:
        case Classes(names):
            of_class = {
                name: {patients[row] for row in np.flatnonzero(index.targets == number).tolist()}
                for number, name in enumerate(names)
            }
        case _:
            return set(), said
    several = [found for found in of_class.values() if found]
    if len(several) > 1 and all(len(found) == 1 and "" not in found for found in several):
        note = "not used: the patient of the DICOM files, which is one for each class and so taken for none"
        return set(patients), (note,)
    return set(), said


def _frame_note(facts: Mapping[str, DicomFacts], paths: set[str]) -> tuple[str, ...]:
    """Which frame is used of files that have several, where no row says which."""
    several = [file for file, found in facts.items() if found.frames > 1 and file in paths]
    if not several:
        return ()
    first = several[0]
    found = facts[first]
    count = "1 file has" if len(several) == 1 else f"{len(several):,} files have"
    return (
        f"frames: {count} several; of {first}, frame {found.frame} of {found.frames} is used (counted from 0; "
        f"{first}#0 names another)",
    )


def _facts(root: Path, file: str) -> DicomFacts | None:
    try:
        with (root / file).open("rb") as stream, mmap(stream.fileno(), 0, access=ACCESS_READ) as content:
            return dicom_facts(content)
    except (DecodeError, OSError, ValueError):  # decoding says so of the file; an empty one cannot be mapped
        return None
