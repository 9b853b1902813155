"""Templates of task files cannot run code, and lm-eval's own render as before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import pytest
import yaml

from harness.suite import templates
from harness.suite.definitions import TaskYamlLoader

ATTACKS = [
    "{{ cycler.__init__.__globals__.os.popen('touch TARGET').read() }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ question.__class__ }}",
    "{{ lipsum.__globals__['os'].system('touch TARGET') }}",
    "{{ '{0.__class__.__init__.__globals__}'.format(question) }}",
    "{% for x in [].__class__.__base__.__subclasses__() %}{{ x }}{% endfor %}",
    "{{ question | attr('__class__') }}",
    "{{ self._TemplateReference__context }}",
    "{{ choices.append('more') }}",
    "{{ (range(10 ** 9) | list)[0] }}",
]
# Values that a doc's field may have; each template is rendered with each.
FIELDS: list[Any] = ["some text", ["first", "second"], {"text": ["a"], "label": [1]}, 3, None]


@pytest.fixture
def render(monkeypatch: pytest.MonkeyPatch) -> Any:
    from lm_eval import utils

    monkeypatch.setattr(utils, "apply_template", utils.apply_template)
    monkeypatch.setattr(utils, "env", utils.env)
    templates.install()
    return utils.apply_template


@pytest.mark.parametrize("template", ATTACKS)
def test_a_template_cannot_reach_python(template: str, render: Any, tmp_path: Path) -> None:
    target = tmp_path / "reached"
    doc = {"question": "why", "choices": ["a"]}
    with pytest.raises((jinja2.exceptions.SecurityError, jinja2.exceptions.UndefinedError, OverflowError)):
        render(template.replace("TARGET", str(target)), doc)
    assert not target.exists()
    assert doc == {"question": "why", "choices": ["a"]}


def test_a_version_that_renders_in_another_way_renders_all_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval import utils

    def shouting(template: str, doc: dict[str, Any]) -> str:
        return str(utils.env.from_string(template).render(**doc)).upper()

    monkeypatch.setattr(utils, "env", jinja2.Environment(undefined=jinja2.StrictUndefined))  # noqa: S701 - no HTML
    monkeypatch.setattr(utils, "apply_template", shouting)
    templates.install()
    assert utils.apply_template is shouting
    with pytest.raises(jinja2.exceptions.SecurityError):
        utils.apply_template("{{ question.__class__ }}", {"question": "why"})


def test_a_template_is_compiled_once(render: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval import utils

    compiled: list[str] = []
    original = type(utils.env).compile

    def compile_and_note(self: Any, source: str, *args: Any) -> Any:
        compiled.append(source)
        return original(self, source, *args)

    monkeypatch.setattr(type(utils.env), "compile", compile_and_note)
    assert [render("{{ n }} is a template of this test", {"n": n}) for n in range(3)][2].startswith("2 is")
    assert len(compiled) == 1


JOINED = ["{{text}}", "Question: {{ text }}\nAnswer:", "", "no field", "{{a}}{{text}}", "{# why #}{{text}}\n"]
RENDERED = [
    *("{{text|trim}}", "{{text.strip()}}", "{{true}}", "{{self}}", "{{range}}", "{{1}}"),
    "{% if text %}{{text}}{% endif %}",
]


@pytest.mark.parametrize("template", [*JOINED, *RENDERED])
@pytest.mark.parametrize("value", ["x {{a}} <b>", "", 3, 0.5, True, None, ["a", "'b'"], {"a": 1}])
def test_a_template_of_text_and_fields_reads_as_jinja_writes_it(template: str, value: Any, render: Any) -> None:
    from lm_eval import utils

    for doc in ({"text": value, "a": "A"}, {"text": value, "a": "A", "true": "no", "range": value}, {"a": value}):

        def jinja(doc: dict[str, Any] = doc) -> str:
            return str(utils.env.from_string(template).render(**doc))

        assert written(lambda doc=doc: render(template, doc)) == written(jinja)


def written(write: Any) -> str:
    try:
        text = write()
        assert isinstance(text, str)
        return re.sub(r"0x[0-9a-f]+", "ADDRESS", text)
    except jinja2.TemplateError as error:
        return f"{type(error).__name__}: {error}"


def test_jinja_is_left_out_for_text_and_fields_alone(render: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []
    original = jinja2.Template.render

    def render_and_note(self: Any, *args: Any, **kwargs: Any) -> str:
        rendered.append(kwargs["text"])
        return original(self, *args, **kwargs)

    monkeypatch.setattr(jinja2.Template, "render", render_and_note)
    for template in JOINED:
        render(template + " of this test", {"text": "plain", "a": 1})
    assert rendered == []
    render("{{text|upper}} of this test", {"text": "with a filter"})
    assert rendered == ["with a filter"]


def catalogue_templates(every: int) -> Iterator[str]:
    """Yield each different template of every `every`-th of lm-eval's task files."""
    import lm_eval.tasks

    seen = set()
    for path in sorted(Path(lm_eval.tasks.__file__).parent.rglob("*.yaml"))[::every]:
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=TaskYamlLoader)  # noqa: S506 - a SafeLoader
        for text in strings(config):
            if "{{" in text or "{%" in text:
                if text not in seen:
                    yield text
                seen.add(text)


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from strings(part)


def outcome(environment: jinja2.Environment, template: str, value: Any, compiled: Any = None) -> str:
    try:
        doc = dict.fromkeys(jinja2.meta.find_undeclared_variables(environment.parse(template)), value)
        return compiled(environment, template)(doc) if compiled else environment.from_string(template).render(**doc)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def compare(every: int) -> int:
    from lm_eval import utils

    open_environment = jinja2.Environment(  # noqa: S701 - as lm-eval's
        loader=jinja2.BaseLoader(), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )
    open_environment.filters["regex_replace"] = utils.regex_replace
    sandboxed = templates._sandboxed(open_environment)
    count = 0
    for template in catalogue_templates(every):
        for value in FIELDS:
            expected = outcome(open_environment, template, value)
            assert outcome(sandboxed, template, value) == expected, template
            assert outcome(sandboxed, template, value, compiled=templates._compiled) == expected, template
        count += 1
    return count


def test_templates_of_lm_evals_catalogue_render_as_before() -> None:
    assert compare(every=40) > 50


@pytest.mark.slow  # reduced twin: the test above
def test_all_templates_of_lm_evals_catalogue_render_as_before() -> None:
    assert compare(every=1) > 1000
