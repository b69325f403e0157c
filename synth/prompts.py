"""Prompts and templates: loading, strict rendering, and the wording of claims.

Templates are files under `prompts/`, by language and recipe; a doctor can read and diff
them. A claim template is a file with one wording a line: from a piece of evidence it gives
every sentence that the evidence supports, so the same file writes a claim and checks one.
Text from a source is data: it fills a template, and is never itself one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cache, cached_property, lru_cache
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
import jinja2.sandbox

from synth.errors import UsageError
from synth.resources import data_dir


def environment(folders: Sequence[Path]) -> jinja2.Environment:
    """An environment that reads folders, the first first; it fails on unknown names and escapes nothing.

    Templates that did not come with the package are sandboxed: they may lie beside a dataset
    that someone else made.
    """
    env = (jinja2.Environment if all(map(_bundled, folders)) else jinja2.sandbox.SandboxedEnvironment)(
        loader=jinja2.FileSystemLoader(folders),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        cache_size=-1,
        auto_reload=False,
    )
    env.filters.update(cap=cap, bare=bare, listed=listed, ored=ored, plain=plain)
    return env


def _bundled(folder: Path) -> bool:
    return folder.resolve().is_relative_to(data_dir("prompts").resolve())


class Prompts:
    """The templates of a language: those of one folder, and the bundled ones where it has none of that name."""

    def __init__(self, folder: Path, language: str) -> None:
        self.folder = folder / language
        if not self.folder.is_dir():
            raise UsageError(f"{self.folder}: no templates for language '{language}' here")
        self.bundled = _bundled(self.folder)
        """Whether these are the templates that came with the package."""
        folders = [self.folder] if self.bundled else [self.folder, data_dir("prompts") / language]
        self.env = environment(folders)
        self._paths = {
            path.relative_to(base).as_posix(): path for base in reversed(folders) for path in base.rglob("*.j2")
        }
        self._names = tuple(sorted(self._paths))
        if not self.bundled:
            self._check(data_dir("prompts") / language)

    def _check(self, bundled: Path) -> None:
        """Stop a run before it starts for a template that does not compile, or that nothing would use."""
        used: set[str | None] = {path.relative_to(bundled).as_posix() for path in bundled.rglob("*.j2")}
        for name in self._names:
            self.template(name)
            used |= set(jinja2.meta.find_referenced_templates(self.env.parse(self._paths[name].read_text("utf-8"))))
        for name in self._names:
            if name not in used and not Path(name).name.startswith("reasoning."):
                raise UsageError(f"{self._paths[name]}: nothing uses a template of this name; see {bundled}")

    @cached_property
    def hash(self) -> str:
        """Hash of every template, names and text."""
        hasher = hashlib.blake2b(digest_size=16)
        for name in self._names:
            hasher.update(name.encode() + b"\0" + self._paths[name].read_bytes() + b"\0")
        return hasher.hexdigest()

    def shapes(self, recipe: str) -> tuple[str, ...]:
        """Names of the discourse shapes of a recipe, in order: `<recipe>/reasoning.<shape>.j2`."""
        prefix = f"{recipe}/reasoning."
        return tuple(n[len(prefix) : -3] for n in self._names if n.startswith(prefix))

    def path(self, name: str) -> Path:
        """The file of a template.

        Raises:
            UsageError: there is none of this name.
        """
        try:
            return self._paths[name]
        except KeyError as error:
            raise UsageError(f"{self.folder / name}: no such template") from error

    def text(self, recipe: str) -> str:
        """All that the templates of a recipe hold, one after the other."""
        names = (name for name in self._names if name.startswith(f"{recipe}/"))
        return " ".join(self._paths[name].read_text(encoding="utf-8") for name in names)

    def template(self, name: str) -> jinja2.Template:
        """A template by its path below the language folder.

        Raises:
            UsageError: there is none of this name.
        """
        try:
            return self.env.get_template(name)
        except jinja2.TemplateNotFound as error:
            raise UsageError(f"{self.folder / name}: no such template") from error
        except jinja2.TemplateSyntaxError as error:
            raise UsageError(f"{self.folder / name}:{error.lineno}: {error.message}") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.folder / name}: not UTF-8 text") from error

    def render(self, name: str, fields: Mapping[str, Any]) -> str:
        """A template filled.

        Raises:
            UsageError: it names what is not there, or does what a template may not do.
        """
        try:
            return self.template(name).render(fields)
        except jinja2.TemplateError as error:
            raise UsageError(f"{self.folder / name}: {error}") from error

    def lines(self, name: str, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """Every line of a template of one sentence a line (`claims/`, `relations/`), filled.

        Raises:
            UsageError: as `render`.
        """
        try:
            return tuple(template.render(fields) for template in self._lines(name))
        except jinja2.TemplateError as error:
            raise UsageError(f"{self.folder / name}.j2: {error}") from error

    @cache  # noqa: B019  (one Prompts a process)
    def _lines(self, name: str) -> tuple[jinja2.Template, ...]:
        path = self.path(f"{name}.j2")
        lines = path.read_text(encoding="utf-8").splitlines()
        return tuple(self.env.from_string(line) for line in lines if line and not line.startswith("{#"))


@lru_cache(maxsize=8)
def load_prompts(language: str, folder: Path | None = None) -> Prompts:
    """The prompts of a language, from `folder` or as bundled."""
    return Prompts(folder or data_dir("prompts"), language)


def cap(text: str) -> str:
    """Capitalize the first letter and leave the rest.

    >>> cap("alpha-1 blockers"), cap("'itis")
    ('Alpha-1 blockers', "'itis")
    """
    return text[:1].upper() + text[1:]


def bare(text: str) -> str:
    """A noun phrase without its article.

    >>> bare("a stiff neck"), bare("an eschar"), bare("anemia")
    ('stiff neck', 'eschar', 'anemia')
    """
    for article in ("a ", "an ", "the "):
        if text.startswith(article):
            return text[len(article) :]
    return text


def plain(text: str) -> str:
    """Collapse white space to single spaces."""
    return " ".join(text.split())


def listed(items: list[str] | tuple[str, ...], word: str = "and") -> str:
    """Join phrases as a list is spoken.

    >>> listed(["fever"]), listed(["fever", "cough"]), listed(["a", "b", "c"])
    ('fever', 'fever and cough', 'a, b, and c')
    """
    items = list(items)
    if len(items) < 3:
        return f" {word} ".join(items)
    return ", ".join(items[:-1]) + f", {word} {items[-1]}"


def ored(items: list[str] | tuple[str, ...]) -> str:
    """Join phrases with 'or'.

    >>> ored(["fever", "cough"])
    'fever or cough'
    """
    return listed(items, "or")
