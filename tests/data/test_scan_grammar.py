from __future__ import annotations

from collections import Counter

import pytest

from seqsweep.data.scan_grammar import ACTIONS, LONGEST_ANSWER, LONGEST_COMMAND, WORDS, commands, interpret

ALL = list(commands())


def words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def test_there_are_20910_commands_all_different() -> None:
    assert len(ALL) == len(set(ALL)) == 20_910


def test_they_use_13_words_and_6_actions() -> None:
    assert {word for command in ALL for word in command} == set(WORDS)
    assert {action for command in ALL for action in interpret(command)} == set(ACTIONS)
    assert len(WORDS) == 13
    assert ACTIONS == ("I_JUMP", "I_LOOK", "I_RUN", "I_TURN_LEFT", "I_TURN_RIGHT", "I_WALK")


def test_commands_and_answers_are_as_long_as_the_paper_says() -> None:
    assert max(map(len, ALL)) == LONGEST_COMMAND == 9
    assert max(len(interpret(command)) for command in ALL) == LONGEST_ANSWER == 48
    assert min(len(interpret(command)) for command in ALL) == 1


def test_conjunctions_are_shared_out_as_the_grammar_says() -> None:
    kinds = Counter("and" if "and" in c else "after" if "after" in c else "one" for c in ALL)
    assert kinds == {"and": 102 * 102, "after": 102 * 102, "one": 102}


@pytest.mark.parametrize(
    ("command", "actions"),
    [  # the paper's figure 1 and section 3, and one for each rule that they leave out
        ("jump", "JUMP"),
        ("jump left", "LTURN JUMP"),
        ("jump around right", "RTURN JUMP RTURN JUMP RTURN JUMP RTURN JUMP"),
        ("turn left twice", "LTURN LTURN"),
        ("jump thrice", "JUMP JUMP JUMP"),
        ("jump opposite left and walk thrice", "LTURN LTURN JUMP WALK WALK WALK"),
        ("jump opposite left after walk around left", "LTURN WALK " * 4 + "LTURN LTURN JUMP"),
        ("turn opposite right", "RTURN RTURN"),
        ("turn around left", "LTURN LTURN LTURN LTURN"),
        ("look right thrice", "RTURN LOOK RTURN LOOK RTURN LOOK"),
        ("run twice after look", "LOOK RUN RUN"),
    ],
)
def test_the_papers_examples(command: str, actions: str) -> None:
    names = {"LTURN": "I_TURN_LEFT", "RTURN": "I_TURN_RIGHT"}
    assert interpret(words(command)) == tuple(names.get(a, f"I_{a}") for a in actions.split())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "turn",
        "left",
        "twice",
        "jump jump",
        "jump twice twice",
        "jump and",
        "and jump",
        "fly left",
        "jump around",
        "around left",
        "jump opposite around left",
        "jump and walk and run",
    ],
)
def test_what_the_grammar_does_not_produce_has_no_meaning(text: str) -> None:
    with pytest.raises(ValueError, match="no phrase of SCAN's grammar"):
        interpret(words(text))
