"""Which final answer is read from a text, and from which words: tables of endings, and rates on the labelled ones."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import answers
from harness.suite.extraction import (
    RULES,
    UNPARSED_RESPONSE,
    Extracted,
    Rule,
    extract_letter,
    extract_number,
    response_value,
)
from harness.suite.extraction.letter_rules import JUDGED, REJECTED, STATED, Cue
from harness.suite.extraction.number_forms import value_of
from harness.suite.extraction.options import letters_of
from harness.suite.extraction.text import MARKUP
from harness.suite.extraction.text import read as read_text

from .endings import Case, cases

ROOT = Path(__file__).resolve().parents[2]

LETTERS: list[tuple[str, str | None]] = [
    ("Going through them one by one, the only statement that holds is (D).", "D"),
    ("Option A cannot be right, so that leaves B as the answer.", "B"),
    ("I believe the correct response is C.", "C"),
    ("Correct answer: option D.", "D"),
    ("My final choice: (A)", "A"),
    ("Thus, option B.", "B"),
    ("Answer is (C), because it melts.", "C"),
    ("The answer must be (B).", "B"),
    ("The answer: **D**.", "D"),
    ("ANSWER: B", "B"),
    ("Ans: C", "C"),
    ("Therefore (C) is correct.", "C"),
    ("Hence the answer is option (A): the dog.", "A"),
    ("It's B.", "B"),
    ("We select option D.", "D"),
    ("That makes C the right choice.", "C"),
    ("D is the right answer.", "D"),
    ("The answer is definitely not C.", None),
    ("Neither A nor B is right.", None),
    ("I would guess A, or possibly C.", None),
    ("It could be B or D.", None),
    ("The answer is B… no, D.", "D"),
    ("The answer is A. Sorry, I misread it. The answer is C.", "C"),
    ("Correction: the answer is D.", "D"),
    ("Suppose the answer is C. Then the sum would be 12.", None),
    ("Assuming B were right, the sky would be green.", None),
    ("A student got an A. The answer is B.", "B"),
    ("Hepatitis B is a virus.", None),
    ("The answer is U.S.", None),
    ("答案应该选B。", "B"),
    ("我的答案是C。", "C"),
    ("所以选项D是正确的。", "D"),
    ("因此，答案：B。", "B"),
    ("由此可见，应选择A。", "A"),
    ("所以此题选A。", "A"),
    ("正确的一项是D。", "D"),
    ("只有B符合题意。", "B"),
    ("B为正确答案。", "B"),
    ("故正确选项是（C）。", "C"),
    ("答案选择C", "C"),
    ("本题的答案应该是B", "B"),
    ("综合来看，D最合适。", "D"),
    ("A和B都有可能。", None),
    ("应该是A或者C。", None),
    ("答案不可能是D。", None),
    ("假设答案是B，则总数为90。", None),
    ("答案是A。抱歉，我看错了，应该是D。", "D"),
    ("选B，不选A。", "B"),
    ("答案：A（因为它最大）", "A"),
    ("他得了A等。", None),
    ("选 C 。", "C"),
    ("答案为【D】。", "D"),
    ("答案是Ｂ项", "B"),
    ("这道题我不会做。", None),
    ("答案D", "D"),
    ("故答案为C.", "C"),
    ("排除A和B，C也不对，所以是D。", "D"),
    ("答案是C，D是干扰项。", "C"),
    ("The answer is B; C is a trap.", "B"),
    ("The answer is either (B) or (C), and the date rules out (C). So (B).", "B"),
    ("A: no. B: no. C: yes. D: no.", None),
    ("Answer: (B) or (C)", None),
    ("So my answer is B, although D is close.", "B"),
    ("**B**", "B"),
    ("**Answer:**\nB", "B"),
    ("Choice C is right.", "C"),
    ("(A) is wrong. (B) is wrong. (C) is right.", "C"),
    ("The answer is (B).", "B"),
    ("First (A) looks right. But no: the answer is (C)", "C"),
    ("Answer: D", "D"),
    ("The answer is **(A)**", "A"),
    ("the answer is B because of that", "B"),
    ("The answer is A bird in the hand", None),
    ("The answer is a bird", None),
    ("The answer is C as the second clue says", "C"),
    ("I do not know", None),
    ("The answer is (A). No, the answer is (B).", "B"),
    ("所以答案是（B）。", "B"),
    ("答案：C", "C"),
    ("答案为 D", "D"),
    ("选不出来", None),
    ("答案是（A）", "A"),
    ("答案选C", "C"),
    ("答案应为C。", "C"),
    ("综上，故选：D", "D"),
    ("所以选 B。", "B"),
    ("答案A不正确", None),
    ("答案是B。A项不对。", "B"),
    ("The correct option is B.", "B"),
    ("I'd go with (D).", "D"),
    ("I pick A.", "A"),
    ("My answer: c", "C"),
    ("Answer: A, since B melts.", "A"),
    ("Thus, the right answer is option (C), the whale.", "C"),
    ("So (B) it is.", "B"),
    ("The answer is therefore D.", "D"),
    ("The best answer is (A) the dog, because cats meow.", "A"),
    ("**Final answer:** B", "B"),
    ("Final answer:\n\n**B**", "B"),
    ("### Final Answer\n\n**(C) Paris**", "C"),
    ("The answer is (A) the dog or (B) the cat.", None),
    ("Either B or C could be right.", None),
    ("The answer could be A. It could also be D.", None),
    ("Possible answers are A and B.", None),
    ("So the final answer is \\(\\boxed{B}\\).", "B"),
    ("$\\boxed{\\textbf{(D)}}$", "D"),
    ("\\boxed{B. Paris}", "B"),
    ("I don't think the answer is A.", None),
    ("The answer isn't B.", None),
    ("The answer is not A but C.", "C"),
    ("The answer can't be A, so the answer is D.", "D"),
    ("The answer is A. Hmm, but that's wrong. It's C.", "C"),
    ("Let me check A. A is wrong. B is wrong. C is wrong. D is right.", "D"),
    ("Only C fits.", "C"),
    ("C is the only one that fits the clues.", "C"),
    ("Which is right? Is it A? No. Is it B? Yes, the answer is B.", "B"),
    ("The answer is B?", None),
    ("Is the answer B?", None),
    ("Some students would choose A. The answer is D.", "D"),
    ("Many people think the answer is A.", None),
    ("One might pick C.", None),
    ("Vitamin B is needed for this. The answer is A.", "A"),
    ("Grade A eggs are best.", None),
    ("He got an A in class.", None),
    ("The answer is C major.", None),
    ("The answer is E coli.", None),
    ("The answer is A-level exams.", None),
    ("The answer is B's brother.", None),
    ("We eliminate A, B and D. This leaves C.", "C"),
    ("By elimination, the answer must be C.", "C"),
    ("A, B and D can be eliminated, leaving C.", "C"),
    ("The answer is (B) because A, C and D are metals.", "B"),
    ("The answer is B, C and D are all plants.", "B"),
    ("The answers are A and C.", None),
    ("The answer is both A and C.", None),
    ("The answer is all of the above.", None),
    ("Answer: ABD", None),
    ("Choose A or B.", None),
    ('Your answer should have the form "The answer is (B)".', None),
    ("I will finish with: The answer is (B).", "B"),
    ("(C) the lungs", "C"),
    ("B. Paris", "B"),
    ("A. Lima\nB. Quito\nC.", None),
    ("The options are:\nA. Lima\nB. Quito\nC. Rome\nD. Oslo", None),
    ("Step 1: read.\nStep 2: think.\n\nAnswer: (D)\n\nExplanation: A is too small.", "D"),
    ("The answer is (A).\n\nThe answer is (B).", None),
    ("The answer is A.\nThe answer is A.\nThe answer is", "A"),
    ("Therefore the statement that follows is (B): all cats are grey.", "B"),
    ("The correct answer is A: Lima. B: Quito is in Ecuador.", "A"),
    ("A and B are wrong, C is close, D is the best answer.", "D"),
    ("Answer = C", "C"),
    ("answer - C", "C"),
    ("The answer is D) none of the above", "D"),
    ("Option D is the correct answer.", "D"),
    ("The answer is option B", "B"),
    ('the answer is choice "B".', "B"),
    ("The correct answer to this question is B.", "B"),
    ("The answer to the question is (C).", "C"),
    ("So the answer would be B.", "B"),
    ("The answer would be B if the ball were red.", None),
    ("If we add them we get 7, so the answer is B.", "B"),
    ("If we follow the clues, the answer is D.", "D"),
    ("I was going to say A, but the answer is B.", "B"),
    ("The answer is B, not A.", "B"),
    ("The answer is B rather than A.", "B"),
    ("I'm torn between A and B.", None),
    ("I cannot decide. The answer is A or maybe B.", None),
    ("The answer is (E).", None),
    ("Hence, E.", None),
    ("I think it's B.", "B"),
    ("It's definitely (A).", "A"),
    ("The odd one out is C.", "C"),
    ("The wrong statement is C.", None),
    ("B seems right.", "B"),
    ("B appears to be the right choice.", "B"),
    ("Thus B is our answer.", "B"),
    ("Answer: B\nAnswer: C", None),
    ("Q: Is it A?\nAnswer: B", None),
    ("Answer: None of the above", None),
    ("所以，答案是 B。", "B"),
    ("选C", "C"),
    ("故本题答案为D。", "D"),
    ("应选B。", "B"),
    ("因此应当选择C选项。", "C"),
    ("综上所述，正确答案是选项A。", "A"),
    ("本题应选D项", "D"),
    ("答案：（B）", "B"),
    ("【正确答案】A", "A"),
    ("【答案】：D", "D"),
    ("参考答案：C", "C"),
    ("我选B。", "B"),
    ("我会选D", "D"),
    ("所以选B和C。", None),
    ("答案是A或B。", None),
    ("答案可能是A。", None),
    ("A、B都正确。", None),
    ("答案应该在A和B之间。", None),
    ("答案是A，不是B。", "A"),
    ("不能选A，只能选D。", "D"),
    ("有人会选A，但正确答案是C。", "C"),
    ("难道选A吗？", None),
    ("选A是错误的，应选B。", "B"),
    ("A错误；B错误；C错误；D正确。故选D。", "D"),
    ("A错误；B正确；C错误；D错误。", "B"),
    ("答案是A型血。", None),
    ("他考了A。", None),
    ("答案选Ｄ。", "D"),
    ("故答案选：**D**", "D"),
    ("所以，B是正确答案。", "B"),
    ("B选项是正确的。", "B"),
    ("B选项才是本题的答案。", "B"),
    ("最符合题意的是C。", "C"),
    ("最后的答案就是D。", "D"),
    ("答案是B。等等，我看错了，应该是C。", "C"),
    ("故选A。\n故选B。", None),
    ("剩下的只有D。", "D"),
    ("排除A、B、C，选D。", "D"),
    ("因此，只有D项符合题意。", "D"),
    ("答案既不是A也不是B。", None),
    ("答案不是A就是B。", None),
    ("我认为是C。", "C"),
    ("正确答案是C选项，因为A和B都错了。", "C"),
    ("选A还是选B？我不清楚。", None),
    ("答案为A，C", None),
    ("这道题的答案是（B）选项。", "B"),
    ("对的是B", "B"),
    ("本题的正确选项应为D。", "D"),
    ("因此，本题选择：C", "C"),
    ("答案：\nB", "B"),
    ("答案是选项C，即金星。", "C"),
    ("最终答案：$\\boxed{D}$", "D"),
    ("错误的一项是C。", None),
    ("故选C。但C与原文矛盾，所以C不对。", None),
    ("选择题的答案写成“答案是（B）”。", None),
    ("正确答案：B、因为……", "B"),
    ("答案是“B. 金星”。", "B"),
    ("选（Ａ）。", "A"),
    ("选择A的同学没有看清题目。选B。", "B"),
]
NUMBERS: list[tuple[str, str | None]] = [
    ("He needs 6 more eggs. So the answer: 6", "6"),
    ("Therefore, the cost is $45.", "45"),
    ("Altogether there are 5 + 6 = 11 birds.", "11"),
    ("11 birds in total.", "11"),
    ("She will need $60.", None),
    ("2 * 3 = 6. She will need 6 pens.", "6"),
    ("Ans: 12", "12"),
    ("The final answer is 1/3.", "1/3"),
    ("The answer is one third.", None),
    ("The answer is approximately 3.14.", "3.14"),
    ("The answer is ≈ 3.14", "3.14"),
    ("#### €1.500.000", None),
    ("#### -0.25", "-0.25"),
    ("#### 12%", "12"),
    ("The answer is 12 or 13.", None),
    ("The answer is from 5 to 8.", None),
    ("It takes 5 to 8 days.", None),
    ("Answer: 5-8", None),
    ("The answer is 1,000,000 people.", "1000000"),
    ("\\boxed{\\dfrac{5}{6}}", "5/6"),
    ("\\boxed{x=4}", "4"),
    ("\\boxed{3 \\text{ or } 4}", None),
    ("The answer is 20. No, 18.", "18"),
    ("The answer is 7. Wait, I should check. 3+5=8. So the answer is 8.", "8"),
    ("I don't know the answer.", None),
    ("The train leaves at 10:15.", None),
    ("答案是12元。", "12"),
    ("共需要12天。", "12"),
    ("所以还要3天。", "3"),
    ("答案是2.5万元。", "25000"),
    ("所以是1/2。", "1/2"),
    ("一共是120÷4=30人。", "30"),
    ("答：每人30元。", "30"),
    ("平均数是12。", "12"),
    ("得到18。", "18"),
    ("答案是12到15。", None),
    ("答案是负3", "-3"),
    ("大约需要5到6天。", None),
    ("他下午3点半到家。", None),
    ("因此答案为12，而不是10。", "12"),
    ("So he pays 3 x $4 = $12.", "12"),
    ("So the total cost is $12.50", "12.5"),
    ("The answer is thirty.", None),
    ("= 42", "42"),
    ("There are 42 in all.", "42"),
    ("The answer is 3.5 hours.", "3.5"),
    ("The probability is 1/6.", "1/6"),
    ("Step 3: The answer is 14.", "14"),
    ("So the answer is $1,250.50.", "1250.5"),
    ("7 apples in 2 boxes", None),
    ("The answer is 18 apples.", "18"),
    ("#### 1,234,567", "1234567"),
    ("####18", "18"),
    ("#### **18**", "18"),
    ("**#### 18**", "18"),
    ("Answer: 18", "18"),
    ("Final answer: **18**", "18"),
    ("The final answer is \\(\\boxed{18}\\).", "18"),
    ("\\boxed{\\frac{3}{4}}", "3/4"),
    ("\\boxed{-5}", "-5"),
    ("\\boxed{18\\text{ apples}}", "18"),
    ("$$\\boxed{18\\%}$$", "18"),
    ("The answer is -7.", "-7"),
    ("The answer is minus 7.", "-7"),
    ("The answer is $-7$.", "-7"),
    ("The answer is −7.", "-7"),
    ("The answer is 0.50.", "0.5"),
    ("The answer is .5.", "0.5"),
    ("The answer is $2,000,000.00.", "2000000"),
    ("The answer is 2.5 million dollars.", "2500000"),
    ("The answer is 3 thousand.", "3000"),
    ("The answer is 1.2 x 10^3.", "1200"),
    ("The answer is 1.2 \\times 10^{3}.", "1200"),
    ("The answer is 2 1/2 hours.", "5/2"),
    ("The answer is between 3 and 4.", None),
    ("The answer is 3-4.", None),
    ("The answer is 3 to 4 days.", None),
    ("The answer is more than 5.", None),
    ("The answer is 5 feet 6 inches.", None),
    ("The answer is 2 hours and 30 minutes.", None),
    ("The answer is 3 or 4.", None),
    ("The answer is 12 + 6 = 18.", "18"),
    ("The answer is 12 + 6.", None),
    ("The answer is x = 18.", "18"),
    ("The answer is 18, since 3 times 6 is 18.", "18"),
    ("The answer is 18 because 3 x 6 = 18.", "18"),
    ("The answer is 18. Therefore each gets 6.", "18"),
    ("The answer is 18.\nThe answer is 20.", None),
    ("The answer is 18. Wait, I forgot 2. The answer is 20.", "20"),
    ("If the answer were 18, it would be odd.", None),
    ("Is the answer 18?", None),
    ("The answer is not 18.", None),
    ("So the total is 12 + 6 = 18 apples.", "18"),
    ("Therefore, she has 18 apples left.", "18"),
    ("Thus Tom needs 6 buses.", "6"),
    ("That makes 24 apples in total.", "24"),
    ("She pays $24 altogether.", "24"),
    ("He has 20 - 5 = 15 apples.", "15"),
    ("3 * 6 = 18\nShe has 18 apples.", "18"),
    ("3 * 6 = 18. So in 5 days he has 18 apples.", "18"),
    ("The meeting starts at 3:30.", None),
    ("The answer is 3:30.", None),
    ("The ratio is 3:2.", None),
    ("He was born in 1990.", None),
    ("There were 5 of them", None),
    ("Step 1: 3 + 4 = 7\nStep 2: 7 * 2 = 14\nStep 3:", None),
    ("1. Buy\n2. Sell\n3.", None),
    ("Total: 18", "18"),
    ("Total = 3 * 6 = 18 apples", "18"),
    ("18 apples", "18"),
    ("$18", "18"),
    ("x = 18", "18"),
    ("= 18", "18"),
    ("Answer: She has 18 apples left.", "18"),
    ("Answer:\n18", "18"),
    ("The answer is:\n\n18", "18"),
    ("The answer is eighteen.", None),
    ("The answer is 25%.", "25"),
    ('End with "#### 18" for example.', None),
    ("#### 18\n#### 18", "18"),
    ("#### 18\n\n#### 20", None),
    ("#### N", None),
    ("#### x = 5", "5"),
    ("#### 3.0", "3"),
    ("#### $5 per hour", "5"),
    ("#### 2/3 of the cake", "2/3"),
    ("#### 10 boxes and 4 pens", None),
    ("#### 1. Add the boxes\n12+6\n#### 2. Done", None),
    ("答案：18", "18"),
    ("答案是１８。", "18"),
    ("答：18元。", "18"),
    ("答：小明一共有18个苹果。", "18"),
    ("答案为-5。", "-5"),
    ("答案是负5。", "-5"),
    ("答案是1.5亿。", "150000000"),
    ("因此答案是3/4。", "3/4"),
    ("所以，小明还剩5个苹果。", "5"),
    ("3×6=18（个）", "18"),
    ("3×6=18（个）\n答：一共有18个。", "18"),
    ("所以总共是18。", "18"),
    ("结果是18。", "18"),
    ("答案是18或20。", None),
    ("答案大约是18。", "18"),
    ("答案不是18。", None),
    ("如果答案是18，那就错了。", None),
    ("答案是18吗？", None),
    ("答案是18。等等，算错了，应该是20。", "20"),
    ("答案是18。不对。", None),
    ("他3点出发。", None),
    ("一共需要3到4天。", None),
    ("答案在3和5之间。", None),
    ("答案是20%。", "20"),
    ("每人分到18÷3=6个。", "6"),
    ("【答案】18", "18"),
    ("#### 18元", "18"),
    ("故答案为：18", "18"),
    ("故答案为：\\frac{2}{3}", "2/3"),
    ("最终答案：**18**", "18"),
    ("因此，一共花了12+6=18元", "18"),
    ("所以他用了2小时30分钟。", None),
    ("所以答案是2小时30分钟。", None),
    ("共有18人，其中6人是女生。", None),
    ("小红比小明多5个，所以小红有12+5=17个。", "17"),
    ("所以x=5。", "5"),
    ("The answer is $1,200 per month.", "1200"),
    ("So the answer is 18 (6 for each).", "18"),
    ("Therefore the answer is 18 - the number of apples.", "18"),
    ("The answer is 18!", "18"),
    ("The answer is: $18.50", "18.5"),
    ("The result is 18.", "18"),
    ("The answer is 3/4 = 0.75.", "0.75"),
    ("So, 18 is the answer.", "18"),
    ("18 is the correct answer.", "18"),
    ("My answer is 18.", "18"),
    ("The correct answer is 18, not 20.", "18"),
    ("The answer should be 18.", "18"),
    ("This gives a total of 18 apples.", "18"),
    ("Hence 18 apples.", "18"),
    ("So 18.", "18"),
    ("We get 3x = 18, so x = 6.", "6"),
    ("The answer is A.", None),
    ("The total number of apples is 18.", "18"),
    ("answer=18", "18"),
    ("The answer is 18.0", "18"),
    ("The answer is 007.", "7"),
]


@pytest.mark.parametrize(("text", "letter"), LETTERS)
def test_the_letter_that_the_text_settles_on_is_read(text: str, letter: str | None) -> None:
    assert _value(extract_letter(text, "ABCD")) == letter


@pytest.mark.parametrize(("text", "number"), NUMBERS)
def test_the_number_that_the_text_settles_on_is_read(text: str, number: str | None) -> None:
    assert _value(extract_number(text)) == number


# The goal for endings that were not looked at is 0.99 and 0.93; they are read with 0.963 and 0.893.
GOAL = pytest.mark.xfail(strict=True, reason="held-out endings are read with precision 0.963 and recall 0.893")


@pytest.mark.parametrize(
    ("name", "precision", "recall"),
    [("develop", 1.0, 0.98), ("held_out", 0.96, 0.89), pytest.param("held_out", 0.99, 0.93, marks=GOAL)],
)
def test_the_labelled_endings_are_read(name: str, precision: float, recall: float) -> None:
    if not Path(__file__).with_name("endings").joinpath(f"{name}.jsonl").exists():
        pytest.skip(f"{name}.jsonl is not in this copy")
    labelled = cases(name)
    reads = [_read(case) for case in labelled]
    n_right = sum(value is not None and value == case.answer for value, case in zip(reads, labelled, strict=True))
    rates = (
        n_right / sum(value is not None for value in reads),
        n_right / sum(case.answer is not None for case in labelled),
    )
    is_reached = rates[0] >= precision and rates[1] >= recall
    assert is_reached, f"{name}: precision {rates[0]:.3f}, recall {rates[1]:.3f}"


@pytest.mark.parametrize("text", [text for text, answer in (*LETTERS, *NUMBERS) if answer])
def test_the_span_lies_in_the_text_and_holds_the_answer(text: str) -> None:
    read = extract_letter(text, "ABCD") or extract_number(text)
    assert read is not None
    start, end = read.span
    assert 0 <= start < end <= len(text)
    again = extract_letter(text[start:end], "ABCD") if read.value.isalpha() else extract_number(text[start:end])
    assert again is None or again.value == read.value


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name} {rule.value}")
def test_a_rule_reads_its_examples(rule: Rule) -> None:
    for text in (rule.english, rule.chinese):
        read = extract_letter(text, "ABCD") if rule.value.isalpha() else extract_number(text)
        assert read is not None
        assert (read.value, read.rule) == (rule.value, rule.name), text


@pytest.mark.parametrize("cue", [*STATED, *JUDGED, *REJECTED], ids=lambda cue: cue.example)
def test_a_cue_matches_its_example(cue: Cue) -> None:
    match = cue.pattern.search(read_text(cue.example, MARKUP).text)
    assert match is not None
    assert letters_of(match["group"]) == {"B"}


def test_the_guide_lists_the_rules_as_the_code_does() -> None:
    guide = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    section = guide.partition("### How a final answer is read\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [_row(rule) for rule in RULES]


def test_the_filters_record_value_span_and_rule() -> None:
    texts = ["It floats. The answer is (B).", "I cannot tell."]
    read, unread = answers.letter([texts], [{"letters": ["A", "B"]}])[0]
    assert json.loads(read) == {"value": "B", "span": [15, 28], "rule": "answer"}
    assert unread == UNPARSED_RESPONSE
    assert json.loads(answers.number([["#### 1,080"]], [{}])[0][0]) == {
        "value": "1080",
        "span": [0, 10],
        "rule": "marker",
    }
    assert [response_value(response) for response in (read, unread, " B ")] == ["B", None, "B"]


def test_numbers_agree_by_value_and_keep_all_digits() -> None:
    long = "1,234,567,890,123,456,789,012,345,678,901"
    for text, value in (
        ("The answer is 0.5.\n#### 1/2", "1/2"),
        ("The answer is 1/2.\nSo the answer is 2/4.", "2/4"),
        (f"#### {long}", long.replace(",", "")),
    ):
        read = extract_number(text)
        assert read is not None, text
        assert read.value == value
    assert [value_of(text) for text in ("+5", "1 080", "5 6")] == [5, 1080, None]


@given(st.text(alphabet="ABCDabIX0123456789 .,:;()[]{}*$#%/\\=-\n答案是选不对所以，。？“isthewern'or"))
def test_any_text_is_read_without_an_error(text: str) -> None:
    for read in (extract_letter(text, "ABCD"), extract_number(text)):
        assert read is None or 0 <= read.span[0] < read.span[1] <= len(text)


@pytest.mark.parametrize("start", ["", "The answer is", "答案", "so it is", "####"])
@pytest.mark.parametrize(
    "words",
    [
        "B is wrong. ",
        "therefore it is ",
        "\\boxed{",
        " ",
        "\n\n",
        "\n \t",
        "(",
        "=",
        "- ",
        "so ",
        "A, ",
        "1",
        "1 ",
        "= 1 ",
        "应该",
        "选",
        "option B, ",
        "so that would be B. ",
        "x = 2 or ",
        "12 boxes of 3 ",
        "3 + 4 = 7. ",
        "的是",
        "<<1=1>>",
        ", then, ",
    ],
)
def test_a_loop_is_read_quickly(start: str, words: str) -> None:
    text = start + words * (12_000 // len(words)) + "z"  # patterns whose time grows with the square take 5 s and more
    assert _seconds(lambda: extract_letter(text, "ABCD")) < 3
    assert _seconds(lambda: extract_number(text)) < 3


def _seconds(read: Callable[[], Extracted | None]) -> float:
    start = time.process_time()
    read()
    return time.process_time() - start


def _row(rule: Rule) -> str:
    cells = [f"`{rule.name}`", rule.reads, *(_code(text) for text in (rule.english, rule.chinese)), rule.value]
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    return "`" + text.replace("\n", "⏎") + "`"


def _read(case: Case) -> str | None:
    return _value(extract_letter(case.text, case.letters) if case.kind == "letter" else extract_number(case.text))


def _value(read: Extracted | None) -> str | None:
    return None if read is None else read.value
