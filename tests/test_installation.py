"""What a person gets who installs the wheel, asks the doctor, or names a task of lm-eval's."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import harness
from harness.cli import doctor_command
from harness.records.run_folder import read_record
from tests.conftest import PIP, HarnessCommand
from tests.models import save_tiny_llama
from tests.tasks_for_tests import write_tasks


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our wheel, installed into a folder of its own."""
    folder = tmp_path_factory.mktemp("wheel") / "site"
    subprocess.run([*PIP, "install", "--no-deps", "--target", folder, wheel], check=True)
    return folder


def run_installed(site: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the harness of `site` from the folder `cwd`, which Python puts first on its path."""
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(site), "HARNESS_CACHE_DIR": str(cwd / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_has_one_import_root_with_tasks_trainers_and_reports(site: Path, tmp_path: Path) -> None:
    assert [path.name for path in site.iterdir() if path.suffix != ".dist-info" and path.name != "bin"] == ["harness"]
    assert (site / "harness" / "_tasks" / "data.yaml").is_file()
    assert (site / "harness" / "_stages" / "sft.yaml").is_file()
    assert (site / "harness" / "trainers" / "sft.py").is_file()
    assert list((site / "harness" / "reports").rglob("*.html*")), "templates are part of the package"
    for name in ("base.html", "view.css", "view.js"):
        assert (site / "harness" / "reports" / "view" / "templates" / name).is_file()
    words = "eval --backend scripted --model oracle --tasks mini_logic --limit 3 --output_path out"
    done = run_installed(site, tmp_path, *words.split())
    assert done.returncode == 0, done.stderr
    assert "1.000" in done.stdout


def hostile(folder: Path) -> Path:
    """Packages of somebody else's called as our folders are; importing one is an error."""
    for name in ("trainers", "reports", "tasks"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"raise SystemExit('{name} of somebody else was imported')\n")
    return folder


def test_a_wheel_with_packages_of_the_same_names_changes_nothing(site: Path, tmp_path: Path) -> None:
    source = hostile(tmp_path / "source")
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "hostile"\nversion = "1"\n'
        '[tool.hatch.build.targets.wheel]\npackages = ["trainers", "reports", "tasks"]\n'
    )
    both = tmp_path / "site"
    shutil.copytree(site, both)
    subprocess.run([*PIP, "install", "--no-deps", "--target", both, source], check=True)
    assert (both / "reports" / "__init__.py").is_file()
    check_commands(both, tmp_path)
    for name in ("trainers", "reports", "tasks"):  # what uninstalling it removes
        shutil.rmtree(both / name)
    check_commands(both, tmp_path)


def test_a_folder_with_packages_of_the_same_names_changes_nothing(site: Path, tmp_path: Path) -> None:
    check_commands(site, hostile(tmp_path / "project"))


def check_commands(site: Path, cwd: Path) -> None:
    evaluation = "eval --backend scripted --model oracle uniform --tasks mini_logic --limit 3 --output_path out"
    for words in (evaluation, "leaderboard out", "compare oracle uniform --runs out"):
        done = run_installed(site, cwd, *words.split())
        assert done.returncode == 0, done.stderr
    stage = {"stage": "sft", "name": "s", "from": "no/such/model", "data": {"sources": {}, "budget_tokens": 10}}
    (cwd / "stage.yaml").write_text(json.dumps(stage))
    done = run_installed(site, cwd, "train", "stage.yaml", "--dry_run")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    assert "somebody else" not in done.stderr


def test_the_quickstarts_command_ends_in_a_table_for_six_domains(
    smollm2: Path, harness_here: HarnessCommand, tmp_path: Path, bubblewrap: str
) -> None:
    words = ["--model", smollm2, "--tasks", "reasoning_mini", "--limit", 2, "--output_path", tmp_path / "out"]
    done = harness_here("eval", *words)
    assert done.returncode == 0, done.stderr
    for domain in ("logic", "legal", "science", "analogy", "code_qa", "code_gen"):
        assert f"\n{domain} " in done.stdout, f"the sandbox is {bubblewrap}"
    assert "\nleaderboard " in done.stdout
    assert f"records: {tmp_path / 'out'}" in done.stdout


def test_the_doctor_says_what_each_backend_needs_and_whether_it_is_there(harness_here: HarnessCommand) -> None:
    done = harness_here("doctor")
    assert done.returncode == 0
    assert done.stdout.startswith("`harness eval` can run here with the hf backend. "), "the answer comes first"
    for said in (
        f"stage-harness {harness.__version__}",
        "torch 2",
        "processor cores",
        "yes  backend hf",
        "HARNESS_DATA",
    ):
        assert said in done.stdout


def test_the_doctor_names_what_is_missing_and_how_to_get_it(
    harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from harness.sandbox import backends

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(backends, "why_unusable", backends.why_unusable.__wrapped__)  # forget its cached result
    said = harness_here("doctor").stdout
    assert "sandbox for programs" in said.splitlines()[0], "among what is not available"
    assert "no   sandbox for programs: " in said
    assert "install bubblewrap" in said


def test_the_doctors_answer_is_about_the_default_backend_wherever_it_is_listed(
    harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = {"other": (("no_such_module",), (), "pip install other"), **doctor_command.NEEDS}
    monkeypatch.setattr(doctor_command, "NEEDS", needs)
    done = harness_here("doctor")
    assert done.returncode == 0
    assert done.stdout.startswith("`harness eval` can run here with the hf backend. Not available: other")


def test_version(harness_here: HarnessCommand) -> None:
    assert harness_here("--version").stdout.split()[-1] == harness.__version__


def test_a_task_of_lm_evals_works_by_its_name(
    harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its data stand in a folder that bears the data set's hub name, where `datasets` looks first."""
    folder = tmp_path / "baber" / "piqa"
    folder.mkdir(parents=True)
    rows = [
        {"goal": f"Reach shelf {n}.", "sol1": "Use a ladder.", "sol2": "Use a spoon.", "label": n % 2} for n in range(8)
    ]
    for split in ("train", "validation"):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.chdir(tmp_path)
    words = "eval --backend scripted --model oracle --tasks piqa --limit 6 --output_path out"
    done = harness_here(*words.split())
    assert done.returncode == 0, done.stderr
    ((name, task),) = read_record(next(Path("out").rglob("run.json"))).tasks.items()
    assert (name, task.metric, task.value, task.items) == ("piqa", "acc,none", 1.0, 6)


class _ChatService(http.server.BaseHTTPRequestHandler):
    """Says "yes" to whatever chat it is sent, and keeps the messages."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(asked["messages"])  # type: ignore[attr-defined]
        said = json.dumps({"choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


def test_a_chat_service_is_sent_messages(harness_here: HarnessCommand, tmp_path: Path) -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _ChatService)
    server.asked = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"base_url=http://127.0.0.1:{server.server_address[1]}/v1/chat/completions"
    words = ["eval", "--backend", "lm-eval:local-chat-completions", "--model", "own-model", "--model_args", url]
    words += ["--tasks", "t_generate", "--include_path", str(write_tasks(tmp_path / "tasks")), "--limit", "3"]
    words += ["--output_path", str(tmp_path / "out")]
    try:
        plain = harness_here(*words)
        chat = harness_here(*words, "--apply_chat_template")
        again = harness_here(*words, "--apply_chat_template")
        asked_once = len(server.asked)  # type: ignore[attr-defined]
        elsewhere = harness_here(*words[:-1], str(tmp_path / "elsewhere"), "--apply_chat_template")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert plain.returncode == 2
    assert "add --apply_chat_template" in plain.stderr
    assert chat.returncode == 0, chat.stderr
    record = read_record(next((tmp_path / "out").rglob("run.json"))).tasks["t_generate"]
    assert asked_once == 3
    assert (record.answered, record.failed) == (3, 0)
    asked = server.asked[:3]  # type: ignore[attr-defined]
    assert [[message["role"] for message in messages] for messages in asked] == [["user"]] * 3
    assert (again.returncode, elsewhere.returncode) == (0, 0)
    assert "3 answers from the journal" in again.stdout
    assert "from the journal" not in elsewhere.stdout, "what stands behind a name may have changed"


OWN_CODE = """
from pathlib import Path
from transformers import LlamaConfig, LlamaForCausalLM
Path(MARKER).touch()
class OwnConfig(LlamaConfig):
    model_type = "own_llama"
class OwnModel(LlamaForCausalLM):
    config_class = OwnConfig
"""


@pytest.mark.parametrize("allowed", [False, True])
def test_a_checkpoints_own_code_runs_only_when_asked(
    harness_here: HarnessCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    model, marker = save_tiny_llama(tmp_path / "model"), tmp_path / "ran"
    (model / "own.py").write_text(OWN_CODE.replace("MARKER", repr(str(marker))))
    config = json.loads((model / "config.json").read_text())
    config |= {"model_type": "own_llama", "architectures": ["OwnModel"]}
    config |= {"auto_map": {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"}}
    (model / "config.json").write_text(json.dumps(config))
    tasks = write_tasks(tmp_path / "tasks")
    words = ["--model", model, "--backend", "hf", "--tasks", "t_choice", "--include_path", tasks, "--limit", 2]
    flags = ["--trust_remote_code"] if allowed else []
    done = harness_here("eval", *words, "--output_path", tmp_path / "out", *flags)
    assert marker.exists() == allowed
    if allowed:
        assert done.returncode == 0, done.stderr
    else:
        assert done.returncode == 2
        assert "trust_remote_code" in done.stderr
        assert done.stderr.count("\n") == 1
