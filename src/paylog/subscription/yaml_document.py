"""A YAML file with the line of everything in it."""

from __future__ import annotations

import os
from collections.abc import Hashable
from pathlib import Path as FilePath
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from paylog.subscription.section import Path, Problem

# Values in a document with its aliases written out: a bomb of aliases has millions.
_LARGEST = 100_000
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class YamlDocument:
    """One file: its content as plain values, and the mistakes that are YAML's own.

    :ivar content: mappings, lists and scalars; None when the file cannot be read.
    """

    def __init__(self, source: str, text: str) -> None:
        self.source = source
        self.content: Any = None
        self._problems: list[tuple[int, str]] = []
        self._root: yaml.Node | None = None
        self._constructor = SafeConstructor()
        self._open: set[int] = set()
        self._built: dict[int, tuple[Any, int]] = {}
        self._size = 0
        try:
            self._root = yaml.compose(text, Loader=_Loader)
            if self._root is None:
                self._mistake(1, "the file is empty")
            else:
                self.content = self._value(self._root)
        except yaml.MarkedYAMLError as error:
            self._mistake(_line_of(error), _syntax(error, text))
        except yaml.YAMLError as error:
            self._mistake(_reader_line(error, text), "not YAML: a character that YAML does not allow")
        except RecursionError:
            self._mistake(1, "nested too deeply, or aliases that contain themselves or too much")

    @classmethod
    def read(cls, path: FilePath) -> YamlDocument:
        """The document in a file; a file that cannot be read is a document with a problem."""
        source = os.fspath(path)
        try:
            raw = path.read_bytes()
        except OSError as error:
            return cls.broken(source, 1, f"cannot be read: {error.strerror}")
        try:
            return cls(source, raw.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            return cls.broken(source, line, "not UTF-8; save the file as UTF-8")

    @classmethod
    def broken(cls, source: str, line: int, message: str) -> YamlDocument:
        """A document that has nothing but one mistake."""
        document = cls(source, "{}")
        document.content = None
        document._mistake(line, message)
        return document

    @property
    def problems(self) -> list[str]:
        """YAML's own mistakes as ``file:line: message``."""
        return [self._at(line, message) for line, message in sorted(self._problems)]

    def describe(self, problems: list[Problem]) -> list[str]:
        """``file:line: path: message`` of each, by line, after YAML's own."""
        lines = [(self.line(p.path), _dotted(p.path), p.message) for p in dict.fromkeys(problems)]
        lines.sort(key=lambda entry: entry[0])
        return [self._at(line, f"{path}: {text}" if path else text) for line, path, text in lines]

    def line(self, path: Path) -> int:
        """The line (from 1) of the key or item at ``path``, or of the nearest thing around it."""
        node, line = self._root, 1 if self._root is None else _start(self._root)
        for part in path:
            if isinstance(node, yaml.MappingNode):
                found = [(k, v) for k, v in node.value if str(self._scalar(k)) == str(part)]
                if not found:
                    break
                line, node = _start(found[0][0]), found[0][1]
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
                node = node.value[part]
                line = _start(node)
            else:
                break
        return line

    def _at(self, line: int, message: str) -> str:
        return f"{self.source}:{line}: {message}"

    def _mistake(self, line: int, message: str) -> None:
        self._problems.append((line, message))

    def _value(self, node: yaml.Node) -> Any:
        self._size += 1
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, report=True)
        if id(node) in self._built:
            value, size = self._built[id(node)]
            self._size += size
            if self._size > _LARGEST:
                raise RecursionError
            return value
        before = self._size
        if id(node) in self._open:
            raise RecursionError
        self._open.add(id(node))
        if isinstance(node, yaml.MappingNode):
            value = self._mapping(node)
        else:
            value = [self._value(item) for item in node.value]
        self._open.discard(id(node))
        self._built[id(node)] = value, self._size - before
        return value

    def _mapping(self, node: yaml.MappingNode) -> dict[Hashable, Any]:
        values: dict[Hashable, Any] = {}
        lines: dict[Hashable, int] = {}
        for key_node, value_node in node.value:
            line = _start(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                self._mistake(line, "a key must be a single word or quoted text")
                continue
            key = self._scalar(key_node, report=True)
            if key in lines:
                self._mistake(line, f"key {key!r} is given twice, first on line {lines[key]}")
                continue
            lines[key] = line
            values[key] = self._value(value_node)
        return values

    def _scalar(self, node: yaml.Node, report: bool = False) -> Any:
        """The value of a scalar, or its text when it is not what YAML takes it for."""
        try:
            return self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError):
            kind = node.tag.rpartition(":")[2]
            if report and kind != "timestamp":
                self._mistake(_start(node), f"not a value of the kind {kind!r}; put text in quotes")
            return node.value


def _start(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _dotted(path: Path) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _line_of(error: yaml.MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return 1 if mark is None else int(mark.line) + 1


def _reader_line(error: yaml.YAMLError, text: str) -> int:
    return text.count("\n", 0, getattr(error, "position", 0)) + 1


def _syntax(error: yaml.MarkedYAMLError, text: str) -> str:
    lines = text.splitlines()
    number = _line_of(error) - 1
    line = lines[number] if number < len(lines) else ""
    if line.startswith("\t") or "\t" in line[: len(line) - len(line.lstrip())]:
        return "not YAML: this line is indented with a tab; use spaces"
    if "single document" in str(error.context or ""):
        return "more than one document (---) in the file; write one subscription a file"
    detail = ", ".join(part for part in (error.context, error.problem) if part)
    return f"not YAML: {detail}"
