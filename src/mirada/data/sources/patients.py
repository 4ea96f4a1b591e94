"""DICOM files say whose they are: the patient's hash becomes the group, so that nobody is in two splits."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from mirada.data.decoding.arrays import container
from mirada.data.decoding.decode import read_file
from mirada.data.decoding.dicom import DicomFacts, dicom_facts
from mirada.data.decoding.raw import DecodeError
from mirada.data.index import Index
from mirada.data.parallel import each

DICOM = frozenset((".dcm", ".dicom"))


def with_patients(index: Index) -> Index:
    """The index grouped by the patients of its DICOM files, where it has some and no groups yet.

    A file that says no patient, or is no DICOM, is a group of its own. Files of several frames are said in a note.
    """
    files = [str(container(Path(path))) for path in index.paths]
    dicom = sorted({file for file in files if Path(file).suffix.lower() in DICOM})
    if not dicom:
        return index
    read = each(partial(_facts, index.root), dicom, what="reading DICOM headers")
    facts = {file: found for file, found in zip(dicom, read, strict=True) if found}
    notes = list(index.notes)
    several = [file for file in dicom if file in facts and facts[file].frames > 1]
    if several:
        first = several[0]
        notes.append(
            f"frames: {len(several):,} files have several; of {first}, frame {facts[first].frame} of "
            f"{facts[first].frames} is used (counted from 0; {first}#0 names another)"
        )
    patients = {file: found.patient for file, found in facts.items() if found.patient}
    if index.groups or not patients:
        return replace(index, notes=tuple(notes))
    notes.append(f"group: the patient of the DICOM files, {len(set(patients.values())):,} patients")
    groups = tuple(patients.get(file, path) for file, path in zip(files, index.paths, strict=True))
    return replace(index, groups=groups, notes=tuple(notes))


def _facts(root: Path, file: str) -> DicomFacts | None:
    try:
        return dicom_facts(read_file(root / file))
    except DecodeError:  # decoding says so of the file
        return None
