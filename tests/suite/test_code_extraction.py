"""What a model writes in one of the usual ways becomes the program that it meant."""

import pytest

from harness.suite.code_extraction import complete, extract_program, parsing_prefix

PROMPT = 'from math import floor\n\n\ndef half(n: int) -> int:\n    """Return half of n, rounded down."""\n'
WHOLE = "def half(n: int) -> int:\n    return n // 2\n"

ANSWERS = {
    "continuation": "    return n // 2\n",
    "continuation without its first indentation": "return n // 2",
    "continuation, then a test": "    return n // 2\n\nprint(half(3))\nassert half(3) == 1",
    "continuation, then prose": "    return n // 2\n\nThis halves the number.",
    "continuation, then the end of a fence": "    return n // 2\n```\n\nThis halves the number.",
    "several lines, the first without indentation": "m = n\n    return m // 2\n",
    "several lines without indentation": "m = n\nreturn m // 2\n",
    "a block first, without indentation": "if n > 0:\n    return n // 2\nreturn n // 2",
    "a block first, only the first line without indentation": "if n > 0:\n        return n // 2\n    return n // 2",
    "fenced function": f"Here it is:\n\n```python\n{WHOLE}```\nIt uses floor division.",
    "fenced function, fence not closed": f"```python\n{WHOLE}",
    "fenced function without a language": f"```\n{WHOLE}```",
    "fenced function with an import": f"```py\nimport math\n\n{WHOLE}```",
    "fenced function that counts on the prompt's import": "```python\ndef half(n):\n    return floor(n / 2)\n```",
    "fenced body": "```python\nreturn n // 2\n```",
    "fenced shell session first": f"```bash\npip install nothing\n```\n```python\n{WHOLE}```",
    "fenced example first": f"```python\nhalf(3)\n```\nThe function:\n```python\n{WHOLE}```",
    "plain function": f"{WHOLE}\nThis is the function you asked for.",
    "plain function after prose": f"Sure! The function is as follows.\n\n{WHOLE}",
    "plain helper, then the function": "def two():\n    return 2\n\n\ndef half(n):\n    return n // two()\n",
    "indented fence": "  ```python\n  def half(n):\n      return n // 2\n  ```",
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_written_in_a_usual_way_becomes_a_working_program(answer: str) -> None:
    names: dict[str, object] = {}
    exec(extract_program(PROMPT, answer, "half"), names)  # noqa: S102 - the answers above
    half = names["half"]
    assert callable(half)
    assert [half(n) for n in (0, 7, 10)] == [0, 3, 5]


@pytest.mark.parametrize("name", [name for name in ANSWERS if name.startswith(("fenced function", "plain"))])
def test_a_whole_function_is_found_without_a_prompt(name: str) -> None:
    program = extract_program("", ANSWERS[name], "half")
    names: dict[str, object] = {"floor": int}
    exec(program, names)  # noqa: S102 - the answers above
    assert callable(names["half"])


def test_without_the_name_of_the_function_the_first_block_is_taken() -> None:
    assert extract_program("", "Look:\n```python\nx = 1\n```\n```python\ny = 2\n```", "") == "x = 1\n"


@pytest.mark.parametrize("answer", ["", "I cannot do that.", "    return n //", "```python\nreturn (\n```"])
def test_an_answer_without_a_program_does_not_become_a_working_one(answer: str) -> None:
    program = extract_program(PROMPT, answer, "half")
    names: dict[str, object] = {}
    try:
        exec(program, names)  # noqa: S102 - the answers above
    except SyntaxError:
        return
    half = names["half"]
    assert callable(half)
    assert half(7) is None


def test_another_function_after_the_completed_one_is_left_out() -> None:
    program = complete(PROMPT, "    return n // 2\n\ndef half(n):\n    return 0\n")
    assert program.count("def half") == 1
    assert program.endswith("return n // 2\n")


def test_the_parsing_prefix_is_the_longest_one() -> None:
    assert parsing_prefix("a = 1\nb = 2\nthis is a line of prose\nc = 3") == "a = 1\nb = 2\n"
    assert parsing_prefix("no program at all") == "no program at all"


def test_constants_before_the_function_belong_to_the_program() -> None:
    answer = (
        "Here it is:\nx = the limit\nMAX = 1000\nSTEP: int = 2\n\ndef count(n):\n    return min(n, MAX)\n\nThat is all."
    )
    assert extract_program("", answer, "count").startswith("MAX = 1000\n")
    assert extract_program("", answer, "count").rstrip().endswith("return min(n, MAX)")
