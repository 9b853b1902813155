"""Programs of several kinds that are right: each passes its tests, whatever ran before it or runs beside it.

``honest(50)`` returns fifty programs; each kind comes again and again, with another number each time.
"""

from __future__ import annotations

from harness.sandbox import Program

_KINDS = {
    "plain": ("def f(n): return sorted(range(n), key=lambda k: -k)", "assert f({n}) == list(range({n}))[::-1]"),
    "files": (
        "import os\n"
        "def f(n):\n"
        "    os.mkdir('folder')\n"
        "    for k in range(n):\n"
        "        with open(f'folder/{{k}}', 'w') as file: file.write('x' * 2000)\n"
        "    return sum(os.path.getsize(f'folder/{{k}}') for k in os.listdir('folder'))",
        "assert f({n}) == {n} * 2000",
    ),
    "recursion": ("def f(n): return 0 if n == 0 else 1 + f(n - 1)", "assert f(800 + {n}) == 800 + {n}"),
    "sockets": (
        "import socket, threading\n"
        "def f(n):\n"
        "    listener = socket.socket()\n"
        "    listener.bind(('127.0.0.1', 8765))\n"
        "    listener.listen()\n"
        "    def serve():\n"
        "        peer, _ = listener.accept()\n"
        "        with peer: peer.sendall(b'x' * n)\n"
        "    thread = threading.Thread(target=serve)\n"
        "    thread.start()\n"
        "    received = b''\n"
        "    with socket.create_connection(('127.0.0.1', 8765)) as client:\n"
        "        while part := client.recv(100): received += part\n"
        "    thread.join()\n"
        "    listener.close()\n"
        "    return len(received)",
        "assert f({n}) == {n}",
    ),
    "threads": (
        "import threading\n"
        "def f(n):\n"
        "    total, lock = [0], threading.Lock()\n"
        "    def add():\n"
        "        for _ in range(n):\n"
        "            with lock: total[0] += 1\n"
        "    threads = [threading.Thread(target=add) for _ in range(4)]\n"
        "    for thread in threads: thread.start()\n"
        "    for thread in threads: thread.join()\n"
        "    return total[0]",
        "assert f({n}) == 4 * {n}",
    ),
    "output": (
        "def f(n):\n    print('line\\n' * 5000)\n    return 'y' * 100_000 + str(n)",
        "assert f({n}) == 'y' * 100_000 + '{n}'",
    ),
    "decimal": (
        "import decimal\ndef f(n): return decimal.Decimal(1) / decimal.Decimal(n + 3)",
        "import decimal\nassert f({n}) == decimal.Decimal(1) / decimal.Decimal({n} + 3)\nassert len(str(f(4))) == 30",
    ),
    "random": (
        "import random\ndef f(n):\n    random.seed(n)\n    return [random.randint(0, 99) for _ in range(n + 5)]",
        "import random\nrandom.seed({n})\nassert f({n}) == [random.randint(0, 99) for _ in range({n} + 5)]",
    ),
}


def honest(count: int) -> list[Program]:
    """Return `count` right programs, of each kind in turn."""
    kinds = list(_KINDS.values())
    return [
        Program(solution.replace("{{", "{").replace("}}", "}"), tests.format(n=number + 1))
        for number in range(count)
        for solution, tests in [kinds[number % len(kinds)]]
    ]
