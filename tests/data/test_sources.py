"""Folders → Index: both layouts, every name of a split, and a sentence for every folder that cannot be used."""

import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from refusals import refusal

from mirada.data.sources import listing, load_data, require_images
from mirada.errors import DataError
from mirada.samples import Excluded, Numbers


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


# --- what is understood -------------------------------------------------------------------------------------


def test_class_folders_alone_are_all_training(tmp_path: Path) -> None:
    touch(tmp_path, "dog/2.jpg", "cat/b.PNG", "cat/a.jpeg", "dog/deep/er/3.webp", "cat/no_extension")
    index = load_data(str(tmp_path))
    assert index.root == tmp_path
    assert index.classes == ("cat", "dog")
    assert index.paths == ("cat/a.jpeg", "cat/b.PNG", "cat/no_extension", "dog/2.jpg", "dog/deep/er/3.webp")
    np.testing.assert_array_equal(index.targets, [0, 0, 0, 1, 1])
    assert index.targets.dtype == np.int64
    assert set(index.splits) == {"train"}
    assert (index.task, index.excluded) == ("classification", ())


@pytest.mark.parametrize("train", ["train", "training", "training_set", "Train", "TRAINING_SET"])
@pytest.mark.parametrize("val", ["val", "valid", "validation", "validation_set", "Val"])
@pytest.mark.parametrize("test", ["test", "testing", "test_set", "Test_Set"])
def test_every_name_of_a_split(tmp_path: Path, train: str, val: str, test: str) -> None:
    for split, count in ((test, 1), (train, 3), (val, 2)):
        touch(tmp_path, *(f"{split}/{name}/{n}.png" for name in ("a", "b") for n in range(count)))
    index = load_data(tmp_path)
    assert index.counts() == {split: {"a": n, "b": n} for split, n in (("train", 3), ("val", 2), ("test", 1))}
    assert index.paths[0] == f"{train}/a/0.png"


def test_a_split_may_lack_a_class(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.png", "train/b/1.png", "test/b/1.png")
    assert load_data(tmp_path).counts()["test"] == {"a": 0, "b": 1}


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.jpg", "bus/1.jpg", "car/1.jpg")
    index = load_data(tmp_path)
    assert index.classes == ("bus", "car", "train")
    assert set(index.splits) == {"train"}


def test_hidden_files_and_junk_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/1.png", ".git/1.png", "__MACOSX/1.png", "Thumbs.db", "readme.md")
    touch(tmp_path, "a/.DS_Store", "a/._1.png", "a/Thumbs.db", "b/desktop.ini", "b/.cache/2.png", "b/README")
    index = load_data(tmp_path)
    assert index.paths == ("a/1.png", "b/1.png")
    assert index.excluded == ()


def test_what_is_no_image_by_its_extension_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "a/notes.txt", "b/1.png", "b/clip.MP4")
    assert load_data(tmp_path).excluded == (
        Excluded("a/notes.txt", "not an image by its extension (.txt)"),
        Excluded("b/clip.MP4", "a video is not read; export its frames as images"),
    )


def test_images_beside_the_class_folders_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "loose.jpg", "labels.csv", "train/stray.png", "train/a/1.png", "train/b/1.png")
    reason = "lies beside the class folders, not in one of them"
    assert load_data(tmp_path).excluded == (
        Excluded("loose.jpg", reason),
        Excluded("train/stray.png", reason),
    )


def test_a_name_that_is_no_utf8_is_left_out_and_can_be_printed(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/1.png")
    Path(os.fsdecode(bytes(tmp_path) + b"/a/caf\xe9.png")).touch()
    index = load_data(tmp_path)
    assert index.paths == ("a/1.png", "b/1.png")
    assert index.excluded == (Excluded(r"a/caf\udce9.png", "its name is not valid UTF-8"),)


# --- a level of folders too many ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("train_set", "val_set"), ("trainset", "testset"), ("train_images", "test_images"),
        ("Training_data", "Testing_data"), ("seg_train", "seg_test"), ("train-data", "validation data"),
        ("dataset_train", "dataset_test"), ("train2017", "val2017"), ("images.train", "images.test"),
        ("Train", "Validate"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("repeated", [False, True])
def test_parts_of_the_data_by_their_many_names(tmp_path: Path, train: str, test: str, repeated: bool) -> None:
    for part, count in ((train, 2), (test, 1)):
        below = f"{part}/{part}" if repeated else part
        touch(tmp_path, *(f"{below}/{name}/{n}.png" for name in ("sea", "ice") for n in range(count)))
    index = load_data(tmp_path)
    assert index.classes == ("ice", "sea")
    assert [sum(table.values()) for table in index.counts().values()] == [4, 2]


@pytest.mark.parametrize(
    "name", ["trainer", "contest", "latest", "testament", "strain", "valve", "images", "set"]
)
def test_words_that_only_contain_the_name_of_a_part(name: str) -> None:
    assert listing.split_named(name) == ""


def test_a_folder_that_holds_nothing_but_the_data(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "pets/train/a/1.png",
        "pets/train/b/1.png",
        "pets/test/a/1.png",
        "pets/test/b/1.png",
        "notes.md",
    )
    assert load_data(tmp_path).counts() == {"train": {"a": 1, "b": 1}, "test": {"a": 1, "b": 1}}


def test_the_parts_may_lie_in_the_classes(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}/{part}/1.png" for name in ("cat", "dog") for part in ("train", "test")))
    index = load_data(tmp_path)
    assert index.counts() == {"train": {"cat": 1, "dog": 1}, "test": {"cat": 1, "dog": 1}}
    assert index.paths == ("cat/train/1.png", "dog/train/1.png", "cat/test/1.png", "dog/test/1.png")


@pytest.mark.parametrize(
    "outer", [("fold1", "fold2", "fold3"), ("P01", "P02", "P03"), ("Entrenamiento", "Otro", "Prueba")]
)
@pytest.mark.parametrize("below", ["", "train/"])
def test_two_levels_that_may_both_be_the_classes(tmp_path: Path, outer: tuple[str, ...], below: str) -> None:
    touch(tmp_path, *(f"{below}{name}/{kind}/1.png" for name in outer for kind in ("benign", "malignant")))
    (tmp_path / below / outer[0] / "malignant" / "1.png").unlink()  # a patient has one of them only
    (tmp_path / below / outer[0] / "malignant").rmdir()
    folder = f"ROOT/{below}".rstrip("/")
    names = ", ".join(f'"{name}"' for name in outer)
    assert refusal(tmp_path) == (
        f'{folder}: its folders ({names}) hold the same folders ("benign", "malignant"), and either may be the '
        "classes. Call parts of the data train, val and test; for patients, folds or anything else, list the images "
        "in a table with the columns image, label and, for patients, group, and name that: mirada train table.csv"
    )
    assert load_data(tmp_path, classes=sorted(outer)).classes == tuple(sorted(outer))  # a model's settle it


@pytest.mark.parametrize(
    "names",
    [
        ("cat/anna/1.png", "cat/bert/1.png", "dog/carl/1.png", "dog/dora/1.png"),
        ("cat/images/1.png", "dog/images/1.png"),
        ("cat/left/1.png", "cat/right/1.png", "dog/left/1.png", "dog/right/1.png", "dog/2.png"),
    ],
)
def test_folders_within_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    touch(tmp_path, *names)
    index = load_data(tmp_path)
    assert (index.classes, len(index)) == (("cat", "dog"), len(names))


def test_a_single_folder_that_holds_others_names_them(tmp_path: Path) -> None:
    touch(tmp_path, "PetImages/Cat/1.png", "PetImages/Dog/1.png")
    assert refusal(tmp_path) == (
        'ROOT: only one class ("PetImages"). Classification needs at least two. If those in it ("Cat", "Dog") are the '
        "classes, name it: mirada train ROOT/PetImages"
    )


def test_folders_whose_names_only_look_different_are_one_class(tmp_path: Path) -> None:
    composed, taken_apart = (unicodedata.normalize(form, "Käse") for form in ("NFC", "NFD"))
    touch(
        tmp_path, f"train/{composed}/1.png", "train/Brot/1.png", f"val/{taken_apart}/2.png", "val/Brot/2.png"
    )
    index = load_data(tmp_path)
    assert index.counts() == {"train": {"Brot": 1, composed: 1}, "val": {"Brot": 1, composed: 1}}
    touch(tmp_path, f"train/{taken_apart}/3.png", "train/Brot\u00a0/3.png")
    index = load_data(tmp_path, classes=("Brot", taken_apart))
    assert index.counts()["train"] == {"Brot": 2, taken_apart: 2}
    assert index.notes == (
        "train: 2 folders are the class Brot",
        f"train: 2 folders are the class {composed}",
    )


# --- images named by their class ----------------------------------------------------------------------------


def test_kaggles_flat_folder_of_cats_and_dogs(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{name}.{number}.jpg" for name in ("cat", "dog") for number in range(3)))
    index = load_data(tmp_path)
    assert index.counts() == {"train": {"cat": 3, "dog": 3}}
    assert index.notes == ("train: 6 images, classes by file name (cat.0.jpg: cat)",)


def test_flat_parts_named_by_class_and_a_test_without(tmp_path: Path) -> None:
    for part in ("train", "val"):
        touch(tmp_path, *(f"{part}/{name}.{number:03}.jpg" for name in ("cat", "dog") for number in range(2)))
    touch(tmp_path, "test/1.jpg")
    index = load_data(tmp_path)
    assert index.counts() == {"train": {"cat": 2, "dog": 2}, "val": {"cat": 2, "dog": 2}}
    assert index.excluded == (Excluded("test/1.jpg", "lies beside the class folders, not in one of them"),)


@pytest.mark.parametrize("below", ["train", "train/train"])
def test_kaggles_dogs_and_cats_as_they_are_unpacked(tmp_path: Path, below: str) -> None:
    touch(tmp_path, *(f"{below}/{name}.{number}.jpg" for name in ("cat", "dog") for number in range(3)))
    touch(tmp_path, *(f"test1/{number}.jpg" for number in range(4)))
    index = load_data(tmp_path)
    assert index.counts() == {"train": {"cat": 3, "dog": 3}}
    assert len(index.excluded) == 4


@pytest.mark.parametrize(
    "names",
    [
        ("cat.1.jpg", "cat.2.jpg", "dog.1.jpg"),  # a single dog
        ("cat.1.jpg", "cat.2.jpg", "dog.1.jpg", "dog.2.jpg", "other.jpg"),
        ("IMG_1.jpg", "IMG_2.jpg", "DSC_1.jpg", "DSC_2.jpg"),
        ("2020.1.jpg", "2020.2.jpg", "2021.1.jpg", "2021.2.jpg"),
    ],
)
def test_names_that_may_be_no_classes(tmp_path: Path, names: tuple[str, ...]) -> None:
    touch(tmp_path, *names)
    assert f" {len(names)} images there, such as {min(names)}, lie in no such folder; a table " in refusal(
        tmp_path
    )


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("group1", "group2"), True),
        (("Person A", "Person B"), True),
        (("batch_A", "batch_B"), True),
        (("grade_1", "grade_2"), False),
        (("2019", "2020"), False),
        (("3-4 years", "5-6 years"), False),
        (("train", "bus", "car"), False),
    ],
)
def test_what_may_well_be_classes_is_taken_for_classes(
    tmp_path: Path, names: tuple[str, ...], said: bool
) -> None:
    touch(tmp_path, *(f"{name}/1.png" for name in names))
    index = load_data(tmp_path)
    assert index.classes == tuple(sorted(names))
    assert any("if these are groups of images" in note for note in index.notes) == said


@pytest.mark.parametrize(
    "names",
    [
        ("patient01", "patient02"), ("batch_1", "batch_2"), ("part_A", "part_B"), ("case_1", "case_2"),
        ("images", "masks"), ("train", "val", "masks"), ("train", "test", "unlabeled"),
    ],
)  # fmt: skip
def test_what_is_called_like_parts_of_the_data_is_a_class_only_if_that_is_stated(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    touch(tmp_path, *(f"{name}/1.png" for name in names))
    assert "If they are classes, say task=classification; else" in refusal(tmp_path)
    assert load_data(tmp_path, task="classification").classes == tuple(sorted(names))


def test_a_class_beside_numbered_ones_that_stands_for_unknown(tmp_path: Path) -> None:
    touch(tmp_path, "-1/1.png", "0/1.png", "1/1.png")
    assert "-1 beside 0 … 1 usually marks images whose class is not known" in refusal(tmp_path)
    assert load_data(tmp_path, task="classification").classes == ("-1", "0", "1")


# --- what is passed over ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "junk",
    [
        "@eaDir", "$RECYCLE.BIN", "System Volume Information", "#recycle", "lost+found", "__MACOSX", "@Recycle",
        "RECYCLER", "_vti_cnf", "FOUND.000", "__pycache__",
    ],
)  # fmt: skip
def test_folders_of_systems_are_no_data_at_any_level(tmp_path: Path, junk: str) -> None:
    touch(
        tmp_path,
        "cat/1.png",
        "dog/1.png",
        f"{junk}/1.png",
        f"cat/{junk}/1.png/THUMB.jpg",
        f"dog/deep/{junk}/2.png",
    )
    index = load_data(tmp_path)
    assert (index.classes, index.paths, index.excluded) == (("cat", "dog"), ("cat/1.png", "dog/1.png"), ())
    assert index.notes == (f"passed over: 3 images in {junk}",)


def test_hidden_images_are_counted(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "dog/1.png", "cat/._1.png", "dog/.ipynb_checkpoints/1.png", ".git/config")
    assert load_data(tmp_path).notes == ("passed over: 2 images in hidden files",)


@pytest.mark.parametrize("parts", ["", "train/"])
@pytest.mark.parametrize(
    "own",
    [
        ("runs/a/recipe.toml", "runs/a/samples.jpg", "runs/b/model.safetensors", "runs/b/samples.jpg"),
        (
            "runs/a/recipe.toml",
            "runs/a/fold-1/recipe.toml",
            "runs/a/samples.jpg",
            "runs/a/fold-1/samples.jpg",
        ),
        ("run/recipe.toml", "run/samples.jpg", "run/more.jpg"),
        ("maps/1-map.png", "maps/1-map-2.png"),
        ("heat/dog-map.png", "heat/cat-map.png"),
    ],
)
def test_what_mirada_has_written_there_is_no_data(tmp_path: Path, parts: str, own: tuple[str, ...]) -> None:
    touch(tmp_path, f"{parts}cat/1.png", f"{parts}dog/1.png", *own)
    index = load_data(tmp_path)
    assert index.counts() == {"train": {"cat": 1, "dog": 1}}
    assert index.notes == (f"passed over: 2 images in {own[0].partition('/')[0]} (Mirada's own output)",)


def test_a_class_that_holds_a_run_keeps_its_own_images(tmp_path: Path) -> None:
    touch(tmp_path, "runs/1.png", "walks/1.png", "walks/runs/a/recipe.toml", "walks/runs/a/samples.jpg")
    touch(tmp_path, "maps/1.png", "maps/2-map.png")
    index = load_data(tmp_path)
    assert index.classes == ("maps", "runs", "walks")
    assert index.paths == ("maps/1.png", "maps/2-map.png", "runs/1.png", "walks/1.png")


def test_a_table_keeps_counting_beside_what_mirada_has_written(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.png", "images/2.png", "runs/a/recipe.toml", "maps/1-map.png", "@eaDir/1.png")
    (tmp_path / "labels.csv").write_text("file,kind\nimages/1.png,a\nimages/2.png,b\n")
    (tmp_path / "predictions.csv").write_text("path,split,target,predicted,probability,correct\n")
    (tmp_path / "predictions-2.csv").write_text(
        "path,split,target:x,predicted:x,error:x,target:y,predicted:y\n"
    )
    assert load_data(tmp_path).origin == tmp_path / "labels.csv"


def test_a_table_does_not_find_its_images_in_junk_or_in_what_mirada_has_written(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.png", "images/2.png", "@eaDir/1.png", "maps/1-map.png", "runs/a/recipe.toml")
    (tmp_path / "labels.csv").write_text("file,kind\n1,a\n2,b\n")
    assert load_data(tmp_path / "labels.csv").paths == ("images/1.png", "images/2.png")


def test_which_files_of_a_folder_are_images(tmp_path: Path) -> None:
    touch(
        tmp_path, "IM001", "b.png", "deep/c.JPG", "x.heic", "notes.txt", "@eaDir/1.png", "runs/a/recipe.toml"
    )
    (tmp_path / "1.2.840.113").write_bytes(bytes(128) + b"DICM")
    (tmp_path / "scan.IMA").write_bytes(bytes(128) + b"DICM")
    images, left_out, notes = listing.image_files(tmp_path)
    assert [file.relative_to(tmp_path).as_posix() for file in images] == [
        "1.2.840.113", "IM001", "b.png", "deep/c.JPG", "scan.IMA",
    ]  # fmt: skip
    assert [item.path for item in left_out] == ["notes.txt", "x.heic"]
    assert listing.by_extension(left_out) == ".txt 1, .heic 1"
    assert notes == ("passed over: 1 image in @eaDir",)


# --- links --------------------------------------------------------------------------------------------------


def test_linked_splits_classes_and_files_are_followed(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/a/1.png", "elsewhere/b/1.png", "store/2.png", "data/test/a/1.png")
    root = tmp_path / "data"
    (root / "train").symlink_to(tmp_path / "elsewhere")
    (root / "test" / "b").symlink_to(tmp_path / "store")
    (root / "test" / "a" / "3.png").symlink_to(tmp_path / "store" / "2.png")
    paths = load_data(root).paths
    assert paths == ("train/a/1.png", "train/b/1.png", "test/a/1.png", "test/a/3.png", "test/b/2.png")


def test_loops_of_links_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/1.png")
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "self").symlink_to("self")
    (tmp_path / "b" / "self.png").symlink_to("self.png")
    index = load_data(tmp_path)
    assert index.classes == ("a", "b")
    assert index.paths == ("a/1.png", "a/up", "b/1.png", "b/self.png")  # decoding names what is no image


# --- a model's classes --------------------------------------------------------------------------------------


def test_given_classes_keep_their_order_and_may_be_absent(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "ant/1.png")
    index = load_data(tmp_path, classes=("dog", "cat", "ant"))
    assert index.classes == ("dog", "cat", "ant")
    assert index.paths == ("ant/1.png", "cat/1.png")
    np.testing.assert_array_equal(index.targets, [2, 1])


def test_given_classes_need_no_training_split_and_one_class_is_enough(tmp_path: Path) -> None:
    touch(tmp_path, "test/cat/1.png")
    assert load_data(tmp_path, classes=("cat", "dog")).counts() == {"test": {"cat": 1, "dog": 0}}


def test_a_class_that_the_model_does_not_know_names_both_sides(tmp_path: Path) -> None:
    touch(tmp_path, "cats/1.png", "dog/1.png")
    assert refusal(tmp_path, classes=("cat", "dog")) == (
        'ROOT: has the class "cats", which the model does not have. Did you mean "cat"? Known: cat, dog.'
    )


# --- what is refused ----------------------------------------------------------------------------------------


def test_a_missing_folder_or_a_file_in_its_place(tmp_path: Path) -> None:
    expected = "expected a folder of images, a table (.csv, .tsv, .txt), or an IDX or .npz file"
    assert refusal(tmp_path / "gone") == f"ROOT: {expected}; found nothing there."
    (tmp_path / "data.odd").touch()
    assert refusal(tmp_path / "data.odd") == f"ROOT: {expected}; found a .odd file there."


@pytest.mark.parametrize(
    ("names", "loose"),
    [
        ((), ""),
        ((".hidden/1.png",), ""),
        (("1.png",), " 1 image there, such as 1.png, lies in no such folder;"),
        (
            ("train/1.png", "train/2.png", "test/2.png"),
            " 2 images there, such as 1.png, lie in no such folder;",
        ),
    ],
)
def test_no_class_folders(tmp_path: Path, names: tuple[str, ...], loose: str) -> None:
    touch(tmp_path, *names)
    name = tmp_path.name
    table = " a table with the columns image and label can name the classes as well: mirada train table.csv"
    assert refusal(tmp_path) == (
        "ROOT: no class folders found. Expected one folder per class with images in it: "
        f"{name}/<class>/*.jpg, or {name}/train/<class>/*.jpg.{loose}{table if loose else ''}"
    )


def test_a_single_class(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png")
    assert refusal(tmp_path) == 'ROOT: only one class ("cat"). Classification needs at least two.'


def test_a_class_without_images(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "dog/notes.txt")
    (tmp_path / "eel").mkdir()
    assert refusal(tmp_path) == (
        'ROOT: no readable image to train on in the class "dog", "eel". The first that was left out: dog/notes.txt: '
        "not an image by its extension (.txt)."
    )


def test_no_images_at_all(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"c{number}").mkdir()
    names = ", ".join(f'"c{number}"' for number in range(8))
    assert refusal(tmp_path) == f"ROOT: no images found in its class folders ({names} and 2 more)."
    assert "no images found" in refusal(tmp_path, classes=tuple(f"c{number}" for number in range(10)))


def test_a_split_with_a_class_of_its_own(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/dgo/1.png")
    assert refusal(tmp_path) == (
        'ROOT/test: has the class "dgo", which the training split does not have. '
        'Did you mean "dog"? Known: cat, dog.'
    )


def test_splits_beside_classes(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.png", "test/cat/1.png", "dog/1.png")
    assert refusal(tmp_path) == (
        'ROOT: holds split folders ("test", "train") beside others ("dog"). '
        "Keep either <split>/<class>/ folders or <class>/ folders, not both."
    )


def test_two_folders_for_one_split(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.png", "val/a/1.png", "validation/a/1.png")
    assert refusal(tmp_path) == "ROOT: val and validation both name the val split. Keep one."


def test_no_training_split(tmp_path: Path) -> None:
    touch(tmp_path, "test/a/1.png", "test/b/1.png")
    assert refusal(tmp_path) == (
        'ROOT: has "test" but no training split. Expected a folder called train, training or training_set. '
        "To divide its images anew, name it: mirada train ROOT/test"
    )


def test_a_command_that_is_named_can_be_typed(tmp_path: Path) -> None:
    """Names with spaces and umlauts stand in quotes, as a shell needs them."""
    photos = tmp_path / "meine Bücher"
    touch(photos / "one", "Bilder alle/Kätzchen/1.png", "Bilder alle/Hund/1.png")
    touch(photos / "two", "test/a/1.png", "test/b/1.png")
    touch(photos / "three", "train/1.png", "train/2.png")
    (photos / "three" / "t.csv").write_text("path,kind\n1.png,a\n2.png,b\n")
    for folder, meant in {"one": "Bilder alle", "two": "test", "three": "t.csv"}.items():
        said = refusal(photos / folder)
        assert said.endswith(f"name it: mirada train 'ROOT/{meant}'"), said


def test_a_folder_that_cannot_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/1.png", "b/1.png")
    scandir = os.scandir

    def guarded(folder: Path) -> object:
        if Path(folder).name == "b":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    with monkeypatch.context() as patch:  # pytest empties the folder with scandir as well
        patch.setattr(listing.os, "scandir", guarded)
        assert refusal(tmp_path) == "ROOT/b: cannot be listed (permission denied)."


def test_regression_needs_two_training_images(tmp_path: Path) -> None:
    from mirada.data.index import Index

    values = np.array([1.0, 2.0])
    index = Index(
        root=tmp_path, paths=("1", "2"), targets=values, splits=np.array(["train", "test"]), target=Numbers()
    )
    with pytest.raises(DataError, match=r"at least 2 training images are needed; 1 can be used\.$"):
        require_images(index)
    require_images(index.take([0, 0]))


# --- numbers and patients -----------------------------------------------------------------------------------


def test_folders_named_by_numbers_can_be_taken_as_numbers(tmp_path: Path) -> None:
    touch(tmp_path, "10/1.png", "2.5/1.png", "2.5/2.png")
    index = load_data(tmp_path, task="regression")
    assert (index.task, index.classes, index.targets.tolist()) == ("regression", (), [[10.0], [2.5], [2.5]])
    touch(tmp_path, "old/1.png")
    with pytest.raises(DataError, match=r'for regression every class must be a number, and one is "old"\.$'):
        load_data(tmp_path, task="regression")


def test_a_folder_with_one_table_and_one_folder_is_that_table(tmp_path: Path) -> None:
    touch(tmp_path, "images/1.png", "images/2.png")
    (tmp_path / "labels.csv").write_text("file,kind\nimages/1.png,a\nimages/2.png,b\n")
    assert load_data(tmp_path).origin == tmp_path / "labels.csv"
    touch(tmp_path, "other/1.png")
    assert load_data(tmp_path).classes == ("images", "other")


def scan(file: Path, patient: str, frames: int) -> None:
    """A DICOM file of black frames."""
    pydicom = pytest.importorskip("pydicom")
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.SOPClassUID = data.SOPInstanceUID = "1.2.3"
    data.PatientID, data.Rows, data.Columns, data.NumberOfFrames = patient, 2, 2, frames
    data.SamplesPerPixel, data.PhotometricInterpretation, data.PixelRepresentation = 1, "MONOCHROME2", 0
    data.BitsAllocated = data.BitsStored = 8
    data.PixelData = bytes(4 * frames)
    file.parent.mkdir(exist_ok=True)
    data.save_as(file, enforce_file_format=True)


def frames_at(folder: Path, *names: str) -> Path:
    """A table with a row for each of these addresses."""
    rows = (f"{name},{number % 2}" for number, name in enumerate(names))
    (folder / "table.csv").write_text("\n".join(("file,kind", *rows)))
    return folder / "table.csv"


def test_the_frames_of_a_file_share_a_group_with_or_without_a_patient(tmp_path: Path) -> None:
    scan(tmp_path / "a.dcm", "", 3)
    scan(tmp_path / "b.dcm", "", 2)
    scan(tmp_path / "c.dcm", "Meier", 2)
    rows = [f"{name}.dcm#{frame}" for name in "ab" for frame in (0, 1)]
    index = load_data(frames_at(tmp_path, *rows))
    assert index.groups == ("a.dcm", "a.dcm", "b.dcm", "b.dcm")
    assert index.notes[-1] == "group: the DICOM file, with all its frames"
    assert not any(note.startswith("frames:") for note in index.notes)  # every row says which
    *groups, first, second = load_data(frames_at(tmp_path, *rows, "c.dcm#0", "c.dcm#1")).groups
    assert groups == ["a.dcm", "a.dcm", "b.dcm", "b.dcm"] and first == second not in groups
    one = load_data(frames_at(tmp_path, "c.dcm#0", "a.dcm#0", "b.dcm#1"))
    assert one.notes[-1] == "group: the patient of the DICOM files, 1 patient"
    alone = load_data(frames_at(tmp_path, "a.dcm", "b.dcm#1"))
    assert alone.groups == ()
    assert "frames: 1 file has several; of a.dcm, frame 1 of 3 is used" in alone.notes[-1]


def test_the_patients_of_dicom_files_are_the_groups(tmp_path: Path) -> None:
    for name, patient, frames in (("a/1.dcm", "Meier", 1), ("a/2.dcm", "Huber", 3), ("b/1.dcm", "Meier", 1)):
        scan(tmp_path / name, patient, frames)
    touch(tmp_path, "b/2.png", "b/3.dcm")
    index = load_data(tmp_path)
    first, other, again, *alone = index.groups
    assert first == again != other
    assert alone == ["b/2.png", "b/3.dcm"]
    assert not any(name in f"{index.groups}{index.notes}" for name in ("Meier", "Huber"))
    assert index.notes == (
        "frames: 1 file has several; of a/2.dcm, frame 1 of 3 is used (counted from 0; a/2.dcm#0 names another)",
        "group: the patient of the DICOM files, 2 patients",
    )


@pytest.mark.parametrize("table", [False, True])
@pytest.mark.parametrize("word", ["ANONYMOUS", "0", "XXXX"])
def test_a_patient_of_nearly_all_images_is_none(tmp_path: Path, word: str, table: bool) -> None:
    names = [f"{kind}/{number}.dcm" for kind in "ab" for number in range(5)]
    for number, name in enumerate(names):
        scan(tmp_path / name, "Meier" if number < 2 else word, 1)
    index = load_data(frames_at(tmp_path, *names) if table else tmp_path)
    assert len(set(index.groups)) == 9  # Meier's two images, and each of the others by itself
    assert index.groups[0] == index.groups[1]
    assert any(
        note.startswith(
            "not used: the patient of the DICOM files where 8 of 10 images are said to be of one patient"
        )
        for note in index.notes
    )


def test_a_patient_for_each_class_is_none(tmp_path: Path) -> None:
    for kind in "ab":
        for number in range(4):
            scan(tmp_path / kind / f"{number}.dcm", f"ILL {kind}", 1)
    index = load_data(tmp_path)
    assert index.groups == ()
    assert index.notes[-1] == (
        "not used: the patient of the DICOM files, which is one for each class and so taken for none"
    )


def test_a_patient_of_most_images_is_said_and_no_groups_can_be_asked_for(tmp_path: Path) -> None:
    for kind in "ab":
        for number in range(4):
            scan(tmp_path / kind / f"{number}.dcm", "Meier" if number < 3 else f"Huber {kind}", 1)
    index = load_data(tmp_path)
    assert len(set(index.groups)) == 3
    assert "group: one patient has 6 of the 8 images" in index.notes
    for word in ("none", "None"):
        alone = load_data(tmp_path, group=word)
        assert alone.groups == () and alone.source is not None and alone.source.group == "none"
        assert not any("patient" in note for note in alone.notes)
