"""Growth: whether the 500th trial takes as long as the 10th, and an epoch as long as its data is."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator

from speed import studies
from speed.measuring import Bar, Row, Settings
from speed.spools import described
from speed.workers import Worker

FIRST, LAST, WINDOW = 10, 500, 150
"""A window covers several of the recorder's passes: a driver takes twice its time while one lasts."""
SMALL = ("data.validation_size=100", "data.test_size=1600", "model.hidden_size=16", "trainer.max_epochs=1")
"""97 training images, four steps: a trial is little more than what a trial costs."""
EXAMPLES = {200: 20, 2_000: 6, 20_000: 3}
"""And the epochs that are run over so many."""
ADDING = ("data=adding", "data.length=20", "data.validation_size=100", "model=gru", "model.hidden_size=32")


def measure(settings: Settings) -> Iterator[Row]:
    """Long studies; then runs over more and more data."""
    last, window = (40, 10) if settings.quick else (LAST, WINDOW)
    params = {"optimizer.lr": "tag(log, interval(1e-4, 1e-2))", "optimizer.weight_decay": "interval(0, 1e-2)"}
    short, long = f"after {FIRST} trials", f"after {last + 1} trials"
    again: dict[str, list[float]] = {short: [], long: []}
    early, late = f"trials {FIRST} to {FIRST + window}", f"trials {last - window} to {last}"
    # what TPE itself thinks about grows with what it has seen: its row has no bar, and one study
    for name, sampler, bar, count in (
        ("random", studies.RANDOM, Bar(1.1, most=True), settings.repeats),
        ("TPE", studies.TPE, None, 1),
    ):
        studies.write(settings, f"growth-{name}", trials=last + 1, params=params, sampler=sampler)
        seconds: dict[str, list[float]] = {early: [], late: []}
        for number in range(count):
            ran = studies.sweep(settings, f"growth-{name}", f"growth-{name}-{number}", *SMALL)
            begun = sorted(described(trial)[0] for trial in ran.trials)
            seconds[early].append((begun[FIRST + window] - begun[FIRST]) / window)
            seconds[late].append((begun[-1] - begun[-window - 1]) / window)
            if sampler == studies.RANDOM:
                again[long].append(_gone_on(settings, f"growth-random-{number}", last + 1))
                more = f"hydra.sweeper.n_trials={FIRST}"
                studies.sweep(settings, "growth-random", f"growth-short-{number}", *SMALL, more)
                again[short].append(_gone_on(settings, f"growth-short-{number}", FIRST))
        yield Row(f"{name} search, two workers, one study", "s a trial", seconds, (late, early), bar)
    yield Row("a study gone on with: command to its next trial", "s", again, (long, short))
    yield _epochs(settings)


def _gone_on(settings: Settings, study: str, trials: int) -> float:
    """Seconds from the command to the next trial of a study that has so many."""
    ran = studies.sweep(settings, "growth-random", study, *SMALL, f"hydra.sweeper.n_trials={trials + 4}")
    return min(described(trial)[0] for trial in ran.trials[trials:]) - ran.began


def _epochs(settings: Settings) -> Row:
    """What each further example costs, from 200 to 2,000 and from there to 20,000."""
    seconds: dict[int, list[float]] = {size: [] for size in EXAMPLES}
    with Worker(settings, "ours") as worker:
        for _, (size, epochs) in itertools.product(range(settings.repeats), EXAMPLES.items()):
            typed = [
                *ADDING,
                f"data.train_size={size}",
                f"trainer.max_epochs={2 if settings.quick else epochs}",
            ]
            times = worker.ask(
                "speed.contestants:epoch_seconds", overrides=[*typed, "trainer.accelerator=cpu"]
            )
            seconds[size].append(statistics.median(times))
    small, middle, large = seconds.values()
    first, second = (
        [1e6 * (b - a) / count for a, b in zip(less, more, strict=True)]
        for less, more, count in ((small, middle, 1_800), (middle, large, 18_000))
    )
    names = ("200 to 2,000", "2,000 to 20,000")
    note = "seconds an epoch: " + ", ".join(
        f"{statistics.median(values):.3f} of {size:,}" for size, values in seconds.items()
    )
    values = dict(zip(names, (first, second), strict=True))
    return Row(
        "an epoch's each further example", "µs", values, (names[1], names[0]), Bar(1.1, most=True), note
    )
