"""What a summary holds: its rows, its totals, and the same as plain JSON values."""

from dataclasses import asdict, dataclass
from typing import Any

from mirada.summary.markdown import as_markdown
from mirada.summary.memory import Memory
from mirada.summary.rules import Shape
from mirada.summary.text import WIDTH, as_text

BATCH_SIZE = 32  # of the totals of memory


@dataclass(frozen=True, kw_only=True)
class Row:
    """One call of one layer, several layers as one, or a parameter or buffer that belongs to no layer.

    ``name`` is the dotted path (empty for the network itself), ``kind`` the class and its geometry,
    ``output_shape`` is without the batch, and None where nothing was computed. ``parameters`` and
    ``trainable`` count the numbers that no row above has counted, ``fixed`` those in buffers, which no optimizer
    changes (running statistics are among them), ``shared`` those that a row above has. ``macs`` are multiply-adds
    for one image, 0 where none are counted. ``activation_bytes`` is what the outputs take for one image; a layer
    that works in place shares them with the layer before.

    Along each axis of the image, in pixels: ``receptive_field`` is how many of them one output value depends on,
    padding included, along the largest path through branches and skip connections; ``jump`` how far apart the
    fields of neighbouring values are, 0 if all values see the same; ``centre`` where the field of the first value
    has its middle (the middle of the first pixel is 0). None where it is not known, and where the order of the
    values no longer tells where they look, as behind a flattening.
    """

    name: str
    kind: str
    output_shape: Shape | None
    parameters: int = 0
    trainable: int = 0
    fixed: int = 0
    shared: int = 0
    macs: int = 0
    activation_bytes: int = 0
    kernel: Shape | None = None
    stride: Shape | None = None
    padding: Shape | None = None
    receptive_field: Shape | None = None
    jump: Shape | None = None
    centre: tuple[float, ...] | None = None

    @property
    def frozen(self) -> int:
        """How many of the parameters have no ``requires_grad``."""
        return self.parameters - self.trainable


@dataclass(frozen=True, kw_only=True)
class Summary:
    """All layers of a network in the order in which they run, for one image of ``input_shape``.

    ``stages`` are the subtotals of the children called ``stem``, ``stageN`` and ``head``; ``memory`` says what the
    network takes; ``not_counted`` what the MACs leave out. ``str`` gives the table.
    """

    network: str
    input_shape: Shape
    rows: tuple[Row, ...]
    stages: tuple[Row, ...]
    memory: Memory
    not_counted: tuple[str, ...]

    @property
    def parameters(self) -> int:
        """How many numbers are in parameters; those that are used in several places count once."""
        return sum(row.parameters for row in self.rows)

    @property
    def trainable(self) -> int:
        """How many of the parameters have ``requires_grad``."""
        return sum(row.trainable for row in self.rows)

    @property
    def fixed(self) -> int:
        """How many numbers are in buffers, such as running means, which are no parameters."""
        return sum(row.fixed for row in self.rows)

    @property
    def macs(self) -> int:
        """Multiply-adds for one image, biases excluded; ``not_counted`` says what else is."""
        return sum(row.macs for row in self.rows)

    def share(self, row: Row) -> tuple[float, float]:
        """A row's fraction of all parameters and of all MACs."""
        return row.parameters / max(1, self.parameters), row.macs / max(1, self.macs)

    def to_dict(self, batch_size: int = BATCH_SIZE) -> dict[str, Any]:
        """As plain JSON values; the memory of predicting and training is that of ``batch_size`` images at a time."""
        return {
            "network": self.network,
            "input_shape": list(self.input_shape),
            "rows": [self._plain(row) for row in self.rows],
            "stages": [self._plain(row) for row in self.stages],
            "parameters": self.parameters,
            "trainable": self.trainable,
            "frozen": self.parameters - self.trainable,
            "fixed": self.fixed,
            "macs": self.macs,
            "batch_size": batch_size,
            "predicting_bytes": self.memory.predicting(batch_size),
            "training_bytes": self.memory.training(batch_size),
            "file_bytes": self.memory.file,
            "not_counted": list(self.not_counted),
        }

    def to_text(self, *, width: int = WIDTH, batch_size: int = BATCH_SIZE, optimizer: str = "") -> str:
        """As a table, with as much of each row as the columns hold.

        Args:
            width: Columns.
            batch_size: Images in memory.
            optimizer: That of the training: ``sgd``, ``adam`` or ``rmsprop``; by default SGD, and what Adam adds.
        """
        return as_text(self, width, batch_size, optimizer)

    def to_markdown(self, batch_size: int = BATCH_SIZE) -> str:
        """As Markdown, with all that is known of each row."""
        return as_markdown(self, batch_size)

    def __str__(self) -> str:
        return self.to_text()

    def _plain(self, row: Row) -> dict[str, Any]:
        values = {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(row).items()
        }
        parameters, macs = self.share(row)
        return {**values, "frozen": row.frozen, "share_of_parameters": parameters, "share_of_macs": macs}
