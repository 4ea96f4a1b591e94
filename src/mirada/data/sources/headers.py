"""What a column is by its header: the words that people call images, labels, patients, splits and the rest.

English first, with the usual words of German, French, Spanish, Italian, Portuguese, Russian, Chinese, Japanese and
Korean. What a header says is a hint; ``roles`` weighs it against what the column holds.
"""

import re
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from unicodedata import normalize

from mirada.data.sources.columns import BoxColumns

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
LATIN_ACCENTS = re.compile("(?<=[A-Za-z])[\u0300-\u036f]+")
BRACKETS = re.compile(r"[(\[].*")
ROW_NUMBER = re.compile(
    r"|\d+|unnamed\d*|(row|serial|sr|sl|s)?(no|nr|num|number|id|names?)|row|index|idx|lfdnr|level0"
)

CODES = frozenset("""
    code hash id ids idx index key name names no nr num number numeric str string text uid
""".split())  # fmt: skip  # noqa: SIM905
FILES = frozenset("""
    datei dateiname dateipfad fichier nomfichier archivo fichero arquivo file filename filenames filepath filepaths
    files fname path paths pfad chemin ruta 文件 文件名 路径 檔名 ファイル ファイル名 파일 파일명 файл имяфайла путь
""".split())  # fmt: skip  # noqa: SIM905
IMAGES = FILES | frozenset("""
    bild bilder bildname foto fotos image images imageid imagename imagepath img imgs photo photos pic pics picture
    pictures radiograph scan slide slice xray dicom imagen imagem immagine sopinstance sop instance
    图像 图片 影像 照片 圖片 画像 写真 이미지 사진 изображение фото снимок
""".split())  # fmt: skip  # noqa: SIM905
IDENTITIES = frozenset("id identifier name nom nombre nome key 编号 名称 名前 名字 아이디 номер имя".split())  # noqa: SIM905
LABELS = frozenset("""
    category categories class classes classification diagnoses diagnosis disease dx finding findings groundtruth
    label labels outcome pathology species target targets truth
    befund diagnose etikett kategorie klasse zielwert art cible classe classes diagnostic etiquette categorie espece
    maladie clase diagnostico etiqueta categoria enfermedad especie objetivo alvo rotulo etichetta diagnosi specie
    метка класс диагноз категория цель 标签 标注 类别 分类 诊断 目标 標籤 類別 診斷 ラベル クラス 診断 分類 種類
    カテゴリ 라벨 레이블 클래스 분류 진단
""".split())  # fmt: skip  # noqa: SIM905
GROUP = re.compile(
    r"(anonymi[sz]ed|deidentified)?"
    r"(patient(en)?|subject|participant|case|lesion|study|series|exam|person|individual|donor|volunteer|proband(en)?|mrn"
    r"|pid|ptid|patid|accession|encounter|paciente|paziente|sujet|sujeto|soggetto|пациент|больной|患者|病人|病例|病历|病歷|被験者|환자)+"
    r"(instance)?(id|identifier|nr|no|num|number|nummer|uid|code|key|name|hash|index|idx|номер|编号|号|編號|番号|번호)*s?"
)
SPLITS = re.compile(
    r"(data)?(set|split|splits|subset|partition|partitions|usage)|(cv|k|cross(val(idation)?)?)?folds?(id|no|nr)?"
    r"|(is|in)?(train|training|val|valid|validation|dev|test|testing|holdout|heldout)(set|image|fold|split)?|tvt"
    r"|teilmenge|aufteilung|particion|particao|partizione|划分|分割|выборка"
)
ASIDE = frozenset("""
    x y z w h xmin ymin xmax ymax x1 y1 x2 y2 x0 y0 left top right bottom cx cy bbox box boxes area
    width height depth rows cols columns channels breite hoehe hohe largeur hauteur ancho alto larghezza altezza
    宽 高 宽度 高度 幅 너비 높이 ширина высота
    sex gender male female geschlecht sexe sexo sesso genre genero пол 性别 性別 성별
    url urls link href date datum time datetime timestamp year month filesize md5 sha sha1 sha256 checksum
    comment comments remark remarks note notes license licence copyright author
""".split())  # fmt: skip  # noqa: SIM905
NUMBERED = frozenset(("id", "ids", "uid", "no", "nr", "nummer", "number", "uuid"))
NOT = frozenset(("no", "non", "not", "without"))
BOX_SIDES = (
    frozenset(("left", "x1", "xmin", "x0")), frozenset(("top", "y1", "ymin", "y0")),
    frozenset(("right", "x2", "xmax")), frozenset(("bottom", "y2", "ymax")),
)  # fmt: skip
BOX_LABELS = ("class", "label", "name", "category", "classname", "labelname")


class Purpose(Enum):
    """What a header says of its column."""

    IMAGE = auto()  # image, file, path
    IDENTITY = auto()  # id, name: of an image, most likely
    LABEL = auto()  # label, class, diagnosis
    LABEL_LIKE = auto()  # final_diagnosis, class_id
    GROUP = auto()
    SPLIT = auto()
    ROW = auto()  # the row's number
    ASIDE = auto()  # boxes, sizes, sex, dates: nobody means them as the target
    OPEN = auto()


def purposes(headers: Iterable[str]) -> list[Purpose]:
    """What each header says; of a table without headers (column 1, column 2 …) nothing."""
    names = list(headers)
    if names == [f"column {number + 1}" for number in range(len(names))]:
        return [Purpose.OPEN] * len(names)
    return [
        _purpose(_words(name), numbered=name == f"column {place + 1}") for place, name in enumerate(names)
    ]


def _purpose(words: list[str], *, numbered: bool) -> Purpose:
    whole = "".join(words)
    plain = [word for word in words if word not in CODES and word not in IDENTITIES]
    if whole in IDENTITIES:
        return Purpose.IDENTITY
    if numbered or ROW_NUMBER.fullmatch(whole):
        return Purpose.ROW
    if whole in IMAGES or (plain and all(word in IMAGES for word in plain)):
        return Purpose.IMAGE
    if whole in LABELS:
        return Purpose.LABEL
    if GROUP.fullmatch(whole):
        return Purpose.GROUP
    if SPLITS.fullmatch(whole):
        return Purpose.SPLIT
    if whole in ASIDE or words[-1] in ASIDE:
        return Purpose.ASIDE
    named = words[0] in LABELS and all(word in CODES or word.isdecimal() for word in words[1:])
    if named or (words[-1] in LABELS and not NOT & set(words)):
        return Purpose.LABEL_LIKE
    return Purpose.IDENTITY if not plain else Purpose.OPEN


def _words(header: str) -> list[str]:
    """``PatientID (text)`` → patient, id; without accents, in lower case."""
    bare = LATIN_ACCENTS.sub("", normalize("NFKD", BRACKETS.sub("", header)))
    return [word.casefold() for word in WORD.findall(normalize("NFC", bare))]


def is_identifier(header: str) -> bool:
    """Whether a header ends as those of identifiers do: animal_id, eye no, AccessionNumber."""
    words = _words(header)
    return len(words) > 1 and words[-1] in NUMBERED


def box_columns(headers: Sequence[str]) -> BoxColumns | None:
    """The columns of a table of boxes, ``label, left, top, right, bottom`` by any usual names, or None."""
    plain = [header.lower().replace("_", "").replace(" ", "") for header in headers]
    sides = [next((place for place, name in enumerate(plain) if name in names), -1) for names in BOX_SIDES]
    label = next((plain.index(name) for name in BOX_LABELS if name in plain), -1)
    return BoxColumns((sides[0], sides[1], sides[2], sides[3]), label) if min(*sides, label) >= 0 else None
