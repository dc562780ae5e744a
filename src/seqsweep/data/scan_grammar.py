"""SCAN's commands and what they mean, from the published grammar.

Source: Lake and Baroni, "Generalization without Systematicity: On the
Compositional Skills of Sequence-to-Sequence Recurrent Networks" (ICML 2018,
arXiv 1711.00350), supplementary figures 6 (phrase structure) and 7
(interpretation). Its phrase structure, with U the four primitives:

    C -> S and S | S after S | S
    S -> V twice | V thrice | V
    V -> D[1] opposite D[2] | D[1] around D[2] | D | U
    D -> U left | U right | turn left | turn right
    U -> walk | look | run | jump
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Words = tuple[str, ...]

PRIMITIVES: dict[str, Words] = {
    "walk": ("I_WALK",),
    "look": ("I_LOOK",),
    "run": ("I_RUN",),
    "jump": ("I_JUMP",),
}
TURNS: dict[str, Words] = {"left": ("I_TURN_LEFT",), "right": ("I_TURN_RIGHT",)}
TIMES = {"twice": 2, "thrice": 3}

# "turn" moves in no other way than its direction says.
VERBS: dict[str, Words] = PRIMITIVES | {"turn": ()}

WORDS = tuple(sorted({*VERBS, *TURNS, *TIMES, "opposite", "around", "and", "after"}))
"""The 13 words of commands."""
ACTIONS = tuple(sorted(action for part in (PRIMITIVES, TURNS) for (action,) in part.values()))
"""The 6 actions."""
LONGEST_COMMAND = 9
LONGEST_ANSWER = 48


def commands() -> Iterator[Words]:
    """All 20,910 commands, each as its words, in a fixed order."""
    sentences = list(_sentences())
    yield from sentences
    for conjunction in ("and", "after"):
        for first, second in product(sentences, repeat=2):
            yield (*first, conjunction, *second)


def _sentences() -> Iterator[Words]:
    """S: the 102 commands without a conjunction."""
    for phrase in _verb_phrases():
        yield phrase
        for times in TIMES:
            yield (*phrase, times)


def _verb_phrases() -> Iterator[Words]:
    """V: 4 primitives and 30 directed ones."""
    for verb in PRIMITIVES:
        yield (verb,)
    for verb, direction in product(VERBS, TURNS):
        yield (verb, direction)
        yield (verb, "opposite", direction)
        yield (verb, "around", direction)


def interpret(command: Words) -> Words:
    """The actions that `command` asks for. Raises ValueError for what the grammar does not produce."""
    for conjunction in ("and", "after"):
        if conjunction in command:
            place = command.index(conjunction)
            first = _interpret_sentence(command[:place])
            second = _interpret_sentence(command[place + 1 :])
            # [[x and y]] = [[x]] [[y]]; [[x after y]] = [[y]] [[x]]
            return first + second if conjunction == "and" else second + first
    return _interpret_sentence(command)


def _interpret_sentence(sentence: Words) -> Words:
    if sentence and sentence[-1] in TIMES:
        # [[x twice]] = [[x]] [[x]]
        return _interpret_verb_phrase(sentence[:-1]) * TIMES[sentence[-1]]
    return _interpret_verb_phrase(sentence)


def _interpret_verb_phrase(phrase: Words) -> Words:
    match phrase:
        case (verb,) if verb in PRIMITIVES:
            return PRIMITIVES[verb]
        case (verb, direction) if verb in VERBS and direction in TURNS:
            return TURNS[direction] + VERBS[verb]
        case (verb, "opposite", direction) if verb in VERBS and direction in TURNS:
            return TURNS[direction] * 2 + VERBS[verb]
        case (verb, "around", direction) if verb in VERBS and direction in TURNS:
            return (TURNS[direction] + VERBS[verb]) * 4
    raise ValueError(f"'{' '.join(phrase)}' is no phrase of SCAN's grammar")
