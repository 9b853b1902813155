"""Run the nodes of a graph: those that are not done, as soon as their parents are, until none can go on.

What is done is read from the study's folder, so a run goes on where the last one stopped, however that ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.study.commands import Commands
from harness.study.executors import DIED, Executor, Job, environment_of
from harness.study.executors.process import queue, started_on
from harness.study.folder import StudyFolder, now
from harness.study.nodes import Evaluation, Graph, Node, Training
from harness.study.outcomes import Outcome, done_before, outcome
from harness.study.states import PROGRESS

ATTEMPTS = 3  # of a command that dies by a signal, such as one that runs out of memory or loses its machine
POLL_SECONDS = 0.1


@dataclass(kw_only=True)
class _Running:
    """A job.

    Attributes:
        nodes: Its nodes.
        job: What the executor gets.
        handle: The executor's, once it is submitted.
        began: When its command began, of this process's clock; None while the executor queues it.
        seconds: What earlier attempts took, without the time in the executor's queue.
        attempt: How many times it was submitted.
    """

    nodes: list[Node]
    job: Job
    handle: Any = None
    began: float | None = None
    seconds: float = 0.0
    attempt: int = 0


class Runner:
    """Runs a graph once.

    Attributes:
        done: What the finished nodes have produced, by key.
        failed: Keys of the nodes whose command failed in this run.
    """

    def __init__(
        self, graph: Graph, folder: StudyFolder, executor: Executor, notify: Callable[[str], None] = lambda _line: None
    ) -> None:
        """`notify` gets a line for each node that begins, ends or fails."""
        self.graph, self.folder, self.executor, self.notify = graph, folder, executor, notify
        self.commands = Commands(graph, folder)
        self.done: dict[str, Outcome] = finished(graph, folder)
        self.failed: list[str] = []
        self._running: list[_Running] = []
        self._alone: set[str] = set()  # evaluations whose shared process failed: one of them may be why

    def run(self, wanted: Collection[str] | None = None) -> bool:
        """Run the wanted nodes (all by default), which include their ancestors; return whether all of them are done.

        The caller holds the folder's lock.
        """
        wanted = set(self.graph if wanted is None else wanted)
        try:
            for key in wanted - self.done.keys():  # a run that was killed has left nodes as running
                if self.folder.state(key, "failed") is not None:  # by a version that did not write the doubt down
                    self.folder.doubt(key)
                self.folder.set_waiting(key)
            while self._start(wanted) or self._running:
                self._collect()
                time.sleep(POLL_SECONDS if self._running else 0)
        finally:
            for running in self._running:
                self.executor.cancel(running.handle)
        return wanted <= self.done.keys()

    def _start(self, wanted: Collection[str]) -> bool:
        """Submit what can run now; return whether anything was submitted."""
        begun = False
        ready: list[_Running] = []
        while self.executor.slots is None or len(self._running) + len(ready) < self.executor.slots:
            nodes = self._next(wanted, ready)
            if not nodes:
                break
            begun = True
            for node in nodes:
                self.folder.claim(node, {parent: self.done[parent] for parent in node.parents})
            already = [node for node in nodes if self._finish(node, seconds=None)]
            rest = [node for node in nodes if node not in already]
            if rest:
                ready.append(_Running(nodes=rest, job=self._job(rest)))
        self._submit(ready)
        return begun

    def _next(self, wanted: Collection[str], ready: Sequence[_Running]) -> list[Node]:
        """Return a node that can run now, or evaluations that can share a process; trainings come first.

        Args:
            wanted: Keys of the nodes to run.
            ready: What is about to be submitted.
        """
        begun = [*self._running, *ready]
        taken = {node.key for running in begun for node in running.nodes}
        free = [
            node
            for key, node in self.graph.items()
            if key in wanted and key not in taken and key not in self.done and key not in self.failed
            and all(parent in self.done for parent in node.parents)
        ]  # fmt: skip
        free.sort(key=lambda node: node.kind != "train")
        if not free or not isinstance(free[0].work, Evaluation) or free[0].key in self._alone:
            return free[:1]
        set_key = free[0].work.set_key
        alike = [
            node
            for node in free
            if isinstance(node.work, Evaluation) and node.work.set_key == set_key and node.key not in self._alone
        ]
        # Starting a process takes seconds, so the evaluations that are ready are dealt out to the free slots.
        slots = self.executor.slots
        share = 1 if slots is None else -(-len(alike) // (slots - len(begun)))
        return alike[:share]

    def _job(self, nodes: Sequence[Node]) -> Job:
        """Return the job of a node, or of evaluations that share a process."""
        words = self.commands.of(nodes, {key: list(done.get("results", ())) for key, done in self.done.items()})
        work = nodes[0].work
        processes = work.processes if isinstance(work, Training) else 1
        return Job(
            name=self.folder.label(nodes[0]),
            words=tuple(words),
            locks=tuple((self.folder.of(node.key) / "lock").absolute() for node in nodes),
            log=(self.folder.of(nodes[0].key) / "log").absolute(),
            cwd=Path.cwd(),
            needs=nodes[0].needs,
            processes=processes,
            environment=environment_of(nodes[0].needs, processes),
        )

    def _submit(self, ready: Sequence[_Running]) -> None:
        """Submit jobs together, for the first time or again."""
        for running in ready:
            queue(running.job.locks)
            running.began = None
            for node in running.nodes:
                self.folder.set_waiting(node.key)
                (self.folder.of(node.key) / PROGRESS).unlink(missing_ok=True)  # of an earlier attempt
        handles = self.executor.submit([running.job for running in ready]) if ready else ()
        for running, handle in zip(ready, handles, strict=True):
            running.handle, running.attempt = handle, running.attempt + 1
            self._running.append(running)

    def _note_begin(self, running: _Running) -> None:
        """Write down that a job's command runs, if it has left the executor's queue since this was last called."""
        host = started_on(running.job.locks) if running.began is None else None
        if host is None:
            return
        running.began = time.monotonic()
        for node in running.nodes:
            about = {"since": now(), "host": host, "log": self._log_of(running.job)}
            self.folder.set_state(node.key, "running", about)
            if running.attempt == 1:
                self.notify(f"begins   {self.folder.label(node)}")

    def _collect(self) -> None:
        """Take in the jobs that have ended, and submit those again that died, without their finished nodes.

        The unfinished evaluations of a shared process that failed run again one by one, so that a bad checkpoint fails
        only its own.
        """
        died = []
        for running in list(self._running):
            code = self.executor.poll(running.handle)
            self._note_begin(running)
            if code is None:
                continue
            self._running.remove(running)
            running.seconds += 0.0 if running.began is None else time.monotonic() - running.began
            share = running.seconds / len(running.nodes)
            left = [node for node in running.nodes if not self._finish(node, seconds=share, code=code)]
            if left and code < 0 and running.attempt < ATTEMPTS:
                why = "its worker or machine is lost" if code == DIED else f"signal {-code}"
                self.notify(f"died     {running.job.name} ({why}); it is run again")
                running.nodes, running.job, running.seconds = left, self._job(left), share * len(left)
                died.append(running)
            elif left and len(running.nodes) > 1:
                self.notify(f"apart    {len(left)} evaluations: exit code {code}, see {running.job.log}")
                for node in left:
                    self.folder.set_waiting(node.key)
                    self._alone.add(node.key)
            else:
                for node in left:
                    self._fail(node, running, code)
        self._submit(died)

    def _finish(self, node: Node, *, seconds: float | None, code: int | None = None) -> bool:
        """Write down that a node is done, if its output is complete.

        Args:
            node: The node.
            seconds: How long it took; None if its command was not run.
            code: The command's exit code; None if it was not run.
        """
        if node.kind == "report" and code != 0:  # a page may be half written
            return False
        # A signal may follow a finished training. An error may, too, but then something is wrong with it, until the
        # command ends with 0.
        if node.kind == "train" and ((code or 0) > 0 or (code != 0 and self.folder.is_doubted(node.key))):
            return False
        produced = outcome(node, self.graph, self.folder)
        if produced is None:
            return False
        about = {
            "outcome": produced,
            "parents": {parent: self.done[parent] for parent in node.parents},
            "finished": now(),
            "seconds": seconds,
        }
        self.folder.trust(node.key)
        self.folder.set_state(node.key, "done", about)
        self.done[node.key] = produced
        took = "" if seconds is None else f"  ({seconds:,.0f} s)"
        self.notify(f"done     {self.folder.label(node)}{took}")
        return True

    def _fail(self, node: Node, running: _Running, code: int) -> None:
        self.failed.append(node.key)
        self.folder.doubt(node.key)
        about = {"code": code, "finished": now(), "log": self._log_of(running.job)}
        self.folder.set_state(node.key, "failed", about)
        self.notify(f"failed   {self.folder.label(node)}: exit code {code}, see {running.job.log}")

    def _log_of(self, job: Job) -> str:
        """Return the place of a job's log in the study's folder, which may be moved later."""
        return str(job.log.relative_to(self.folder.path.absolute()))

    def link_pages(self) -> dict[str, str]:
        """Link the pages of the finished reports under their present labels; return the links, the main one last.

        Links to pages that are out of date or no longer in the experiment are removed; the pages stay in their nodes.
        """
        pages: dict[str, str] = {}
        for key in reversed(list(self.graph)):
            produced = self.done.get(key)
            if produced is not None and self.graph[key].kind == "report":
                pages |= {node.label: str(produced["page"]) for node in reversed(self.graph[key].names)}
        return {label: str(link) for label, link in self.folder.link_pages(pages).items()}


def finished(graph: Graph, folder: StudyFolder) -> dict[str, Outcome]:
    """Return what earlier runs have produced, by key."""
    done: dict[str, Outcome] = {}
    for key, node in graph.items():
        produced = done_before(node, folder, done)
        if produced is not None:
            done[key] = produced
    return done


def with_ancestors(graph: Graph, keys: Collection[str]) -> set[str]:
    """Return these nodes and everything that they need."""
    wanted: set[str] = set()
    for key in reversed(list(graph)):
        if key in keys or key in wanted:
            wanted |= {key, *graph[key].parents}
    return wanted
