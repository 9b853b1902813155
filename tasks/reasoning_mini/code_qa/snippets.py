"""Short programs with parameters in angle brackets; the question is what they print. Content only."""

from __future__ import annotations

import random
import re

WORDS = (
    "planet",
    "garden",
    "silver",
    "rocket",
    "window",
    "button",
    "candle",
    "mirror",
    "orange",
    "basket",
    "thunder",
    "library",
)
RANGES = {"S": (2, 6), "M": (4, 10), "L": (11, 31)}  # <S>, <M>, <L>: a small, medium or large number
# <W> is a word, <N> a list of five numbers

NUMBERS = {
    1: (
        "total = 0\nfor i in range(<S>, <M> + 1):\n    total += i\nprint(total)",
        "x = <S>\nfor i in range(3):\n    x = x * 2 + <S>\nprint(x)",
        "a = <L>\nb = <S>\nprint(a // b + a % b)",
        "x = <L>\ny = <M>\nx, y = y, x - y\nprint(x + 2 * y)",
        "n = <M>\nresult = 1\nfor i in range(1, n, 2):\n    result += i\nprint(result)",
        "x = <M>\nif x > <M>:\n    x -= <S>\nelse:\n    x += <L>\nprint(x * <S>)",
    ),
    2: (
        "count = 0\nfor i in range(1, <L>):\n    if i % <S> == 0 or i % 7 == 0:\n        count += 1\nprint(count)",
        "a, b = <S>, <M>\nfor i in range(<S>):\n    a, b = b, a + b\nprint(a)",
        "total = 0\nfor n in <N>:\n    if n > <M>:\n        total += n\n    else:\n        total -= 1\nprint(total)",
        "x = <L>\nsteps = 0\nfor i in range(10):\n    if x <= <S>:\n        break\n    x //= 2\n    steps += 1\n"
        "print(steps, x)",
        "best = 0\nfor n in <N>:\n    if n % 2 == 0 and n > best:\n        best = n\nprint(best)",
    ),
    3: (
        "total = 0\nfor i in range(1, <M>):\n    for j in range(i):\n        if (i + j) % <S> == 0:\n            "
        "total += 1\nprint(total)",
        "def f(n):\n    if n < 2:\n        return n + 1\n    return f(n - 1) + f(n - 2)\nprint(f(<S> + 1))",
        "def g(n):\n    if n == 0:\n        return 0\n    return n % 10 + g(n // 10)\nprint(g(<L><M><L>))",
        "x = 0\nfor n in <N>:\n    if n % 3 == 0:\n        continue\n    if n > 1<S>:\n        break\n    x = x * "
        "2 + n % <S>\nprint(x)",
        "pairs = 0\nnumbers = <N>\nfor i in range(len(numbers)):\n    for j in range(i + 1, len(numbers)):\n       "
        " if numbers[i] > numbers[j]:\n            pairs += 1\nprint(pairs)",
    ),
}
TEXT = {
    1: (
        'word = "<W>"\nprint(word[1:<S>])',
        'word = "<W>"\nprint(word[-<S>:])',
        'word = "<W>"\nprint(word[0] + word[-1] * <S>)',
        'word = "<W>"\nprint(word[::2])',
        'a = "<W>"\nb = "<W>"\nprint(len(a) * <S> + len(b))',
    ),
    2: (
        'word = "<W>"\nresult = ""\nfor c in word:\n    result = c + result\nprint(result[:<S>])',
        'word = "<W>"\nresult = ""\nfor i, c in enumerate(word):\n    if i % 2 == 0:\n        result += c.upper()\n'
        "    else:\n        result += c\nprint(result)",
        'word = "<W>"\nresult = ""\nfor c in word:\n    if c not in "aeiou":\n        result += c\nprint(result)',
        'a = "<W>"\nb = "<W>"\nprint(a[:<S>] + b[<S>:])',
        'text = "<W> <W> <W>"\nparts = text.split()\nprint(parts[1][0] + parts[-1][1:<S>])',
    ),
    3: (
        'word = "<W>"\nresult = ""\nfor i in range(len(word)):\n    result += word[(i + <S>) % len(word)]\n'
        "print(result)",
        'word = "<W>"\nresult = ""\nfor c in word:\n    if result and c > result[-1]:\n        result += c\n    '
        "elif not result:\n        result = c\nprint(result)",
        'word = "<W>"\nhalf = len(word) // 2\nprint(word[half:] + word[:half][::-1])',
        'letters = sorted("<W>")\nprint("".join(letters[1:<M>]))',
        'text = "<W> <W>"\nresult = ""\nfor w in text.split():\n    result = w[-<S>:] + result\nprint(result)',
    ),
}
COLLECTIONS = {
    1: (
        "items = <N>\nitems.append(<M>)\nitems.pop(0)\nprint(items)",
        "items = <N>\nprint(items[1] + items[-1])",
        "items = <N>\nprint([n for n in items if n > <M>])",
        "items = <N>\nprint(sorted(items)[<S> - 1])",
        "items = <N>\nprint(items[::-1])",
        'prices = {"tea": <S>, "cake": <M>}\nprices["tea"] += <S>\nprint(prices["tea"] * 2 + prices["cake"])',
    ),
    2: (
        "a = <N>\nb = a\nb.append(<M>)\nprint(len(a))",
        "a = <N>\nb = a[:]\nb[0] = <M>\nprint(a[0] + b[0])",
        'counts = {}\nfor c in "<W><W>":\n    counts[c] = counts.get(c, 0) + 1\nprint(max(counts.values()))',
        "items = <N>\nresult = []\nfor n in items:\n    result.insert(0, n * <S>)\nprint(result[:3])",
        "items = <N>\nprint([items[i] - items[i - 1] for i in range(1, len(items))])",
    ),
    3: (
        "grid = [[i * j for j in range(1, <M>)] for i in range(1, <S> + 1)]\nprint(grid[-1][2] + sum(grid[0]))",
        "stack = []\nfor n in <N>:\n    if stack and stack[-1] > n:\n        stack.pop()\n    else:\n        "
        "stack.append(n)\nprint(stack)",
        "groups = {}\nfor n in <N>:\n    groups.setdefault(n % <S>, []).append(n)\nprint(sorted(len(g) for g in "
        "groups.values()))",
        "queue = <N>\nfor i in range(<S>):\n    first = queue.pop(0)\n    queue.append(first + i)\nprint(queue)",
        "seen = set()\nresult = []\nfor n in <N>:\n    if n % <G> not in seen:\n        seen.add(n % <G>)\n        "
        "result.append(n)\nprint(result)",
    ),
}


def build(rng: random.Random, code: str) -> str:
    """Replace the parameters of a snippet, each by its own value, but all ``<G>`` by the same value."""

    def value(match: re.Match[str]) -> str:
        kind = match[1]
        if kind == "W":
            return rng.choice(WORDS)
        if kind == "N":
            return str(rng.sample(range(1, 20), 5))
        return str(rng.randrange(*RANGES[kind]))

    code = code.replace("<G>", str(rng.randrange(2, 6)))
    return re.sub("<([SMLWN])>", value, code)
