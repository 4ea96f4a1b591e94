"""DICOM files say whose they are: the patient's hash becomes the group, so that nobody is in two splits."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from mmap import ACCESS_READ, mmap
from pathlib import Path

from mirada.data.index import Index
from mirada.data.parallel import parallel_map
from mirada.data.pixels.arrays import container
from mirada.data.pixels.dicom import DicomFacts, dicom_facts
from mirada.data.pixels.raw import DecodeError
from mirada.errors import counted

DICOM = frozenset((".dcm", ".dicom"))


def with_patients(index: Index) -> Index:
    """The index grouped by the patients of its DICOM files, where it has some and no groups yet.

    A DICOM file that says no patient is a group of its own, with all its frames; so is any other image. Files that
    say none and give one frame each need no groups. Files of several frames of which none is named are in a note.
    """
    files = [str(container(Path(path))) for path in index.paths]
    dicom = sorted({file for file in files if Path(file).suffix.lower() in DICOM})
    if not dicom:
        return index
    read = parallel_map(partial(_facts, index.root), dicom, what="reading DICOM headers")
    headers = dict(zip(dicom, read, strict=True))
    facts = {file: found for file, found in headers.items() if found}
    notes = (*index.notes, *_frame_note(facts, set(index.paths)))
    patients = {file: found.patient for file, found in facts.items() if found.patient}
    groups = tuple(
        patients.get(file, file if file in headers else path)
        for file, path in zip(files, index.paths, strict=True)
    )
    divided = len(set(groups)) < len(set(index.paths))
    if index.groups or not (patients or divided):
        return replace(index, notes=notes)
    said = (
        f"the patient of the DICOM files, {counted(len(set(patients.values())), 'patient')}"
        if patients
        else "the DICOM file, with all its frames"
    )
    return replace(index, groups=groups, notes=(*notes, f"group: {said}"))


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
