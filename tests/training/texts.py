"""A text to be read in stretches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from seqsweep.data import LanguageModelling

LINES = ["the cat sat on the mat", "and the dog", "ran", "", "a dog sat and a cat ran to the mat"]


class Story(LanguageModelling):
    """A few lines again and again, 416 words of which train, in stretches of 8 in each of 5 places."""

    def __init__(self, folder: str) -> None:
        path = Path(folder) / "story.txt"
        if not path.exists():
            path.write_text("\n".join(LINES * 20))
        super().__init__(train=str(path), batch_size=5, bptt=8, eval_batch_size=3)


def config(folder: Path, **task: Any) -> dict[str, Any]:
    """What `training.tiny.config` is to take in place of its own data, model and task."""
    return {
        "data": {"_target_": "training.texts.Story", "folder": str(folder)},
        "model": {
            "_target_": "seqsweep.models.LSTM",
            "_partial_": True,
            "hidden_size": 6,
            "dropout": 0.2,
            "recurrent_dropout": 0.1,
            "tied_embeddings": True,
        },
        "task": {"_target_": "seqsweep.tasks.LanguageModelling", "_partial_": True, **task},
        "trainer__max_epochs": 2,
    }
