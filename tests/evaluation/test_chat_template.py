"""A system message is in the prompt, or the run stops."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.evaluation.chat_template import TokenizerChatTemplate
from harness.records.run_folder import read_record
from tests.conftest import HarnessCommand
from tests.models import save_tiny_llama, tiny_tokenizer
from tests.tasks_for_tests import write_tasks

TURN = "{{ '[' + message['role'] + ']' + message['content'] }}"
TEMPLATES = {
    "refuses": "{% for message in messages %}{% if message['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}" + TURN + "{% endfor %}",
    "leaves out": "{% for message in messages %}{% if message['role'] != 'system' %}"
    + TURN
    + "{% endif %}{% endfor %}",
    "takes": "{% for message in messages %}" + TURN + "{% endfor %}",
}
CHAT = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2?"}]


def _with_template(folder: Path, kind: str) -> Path:
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = TEMPLATES[kind]
    tokenizer.save_pretrained(folder)
    return folder


def test_a_template_with_a_system_role_renders_it(tmp_path: Path) -> None:
    template = TokenizerChatTemplate(_with_template(tmp_path, "takes"))
    assert template(CHAT) == "[system]Be brief.[user]2 + 2?"


@pytest.mark.parametrize("several", [False, True])
def test_a_name_that_no_template_has_is_refused(tmp_path: Path, several: bool) -> None:
    folder = _with_template(tmp_path, "takes")
    if several:
        tokenizer = tiny_tokenizer()
        tokenizer.chat_template = {"default": TEMPLATES["takes"], "tools": TEMPLATES["takes"]}
        tokenizer.save_pretrained(folder)
        assert TokenizerChatTemplate(folder, name="tools")(CHAT) == "[system]Be brief.[user]2 + 2?"
    with pytest.raises(InputError, match="has no template of this name; it has default"):
        TokenizerChatTemplate(folder, name="nosuch")
    assert TokenizerChatTemplate(folder, name="default")(CHAT) == "[system]Be brief.[user]2 + 2?"


@pytest.mark.parametrize("kind", ["refuses", "leaves out"])
def test_a_template_without_a_system_role_is_an_error_with_a_remedy(kind: str, tmp_path: Path) -> None:
    folder = _with_template(tmp_path, kind)
    with pytest.raises(InputError, match=r"takes no system message.*--system_as_user"):
        TokenizerChatTemplate(folder)(CHAT)
    assert TokenizerChatTemplate(folder)(CHAT[1:]) == "[user]2 + 2?"
    assert TokenizerChatTemplate(folder, system_as_user=True)(CHAT) == "[user]Be brief.\n\n2 + 2?"


def test_the_record_says_how_the_system_message_was_used(tmp_path: Path, harness_here: HarnessCommand) -> None:
    model = _with_template(save_tiny_llama(tmp_path / "model"), "refuses")
    tasks = write_tasks(tmp_path / "tasks", items=2)
    words = ["--model", model, "--backend", "hf", "--tasks", "t_choice", "--include_path", tasks]
    words += ["--apply_chat_template", "--system_instruction", "Be brief.", "--output_path", tmp_path / "runs"]
    done = harness_here("eval", *words)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "--system_as_user" in done.stderr
    done = harness_here("eval", *words, "--system_as_user")
    assert done.returncode == 0, done.stderr
    (samples,) = (tmp_path / "runs").rglob("samples_t_choice_*.jsonl")
    assert "[user]Be brief.\\n\\nQuestion: Which animal is number 0?" in samples.read_text(encoding="utf-8")
    assert read_record(tmp_path / "runs" / "model").prompt["system_as_user"] is True
