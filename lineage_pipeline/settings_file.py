"""The settings file: which one counts, and its YAML read strictly. What stands in it is `settings.py`'s business."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lineage_pipeline.errors import SettingsError

CONFIG_NAME = "lineage.yaml"
EMBEDDED_CONFIG = Path(".lineage") / CONFIG_NAME
MAX_CONFIG_BYTES = 1_000_000  # a settings file is small; anything larger is a mistake or an attack


def config_path(environ: Mapping[str, str], config: Path | None, cwd: Path, *, embedded: bool) -> Path | None:
    """The file named by `config` or LINEAGE_CONFIG, else `lineage.yaml`, else with `embedded` that of the stack.

    None when there is none. Raises SettingsError for a name that leads to no file: another one is never taken for it.
    """
    named = config or (Path(environ["LINEAGE_CONFIG"]) if environ.get("LINEAGE_CONFIG") else None)
    if named is not None:
        if not _is_there(cwd / named):
            raise SettingsError(f"the settings file {named} does not exist: check --config or LINEAGE_CONFIG")
        return _file(cwd / named)
    if _is_there(cwd / CONFIG_NAME):
        return _file(cwd / CONFIG_NAME)
    # the stack's own is made anew by each start, and a directory that was cleared away is no reason to refuse one
    return cwd / EMBEDDED_CONFIG if embedded and (cwd / EMBEDDED_CONFIG).is_file() else None


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in the file. Raises SettingsError for anything else, and for a key that stands there twice."""
    try:
        if path.stat().st_size > MAX_CONFIG_BYTES:
            raise SettingsError(f"{path} is larger than {MAX_CONFIG_BYTES} bytes: this is no settings file")
        content = _strict_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"the settings file {path} cannot be read ({error.strerror}): check the rights") from None
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise SettingsError(f"{path} cannot be read as YAML: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{path} must hold a mapping such as `topics: [...]`, not {type(content).__name__}")
    return content


def _is_there(path: Path) -> bool:
    """Also a link that leads nowhere, and what may not be looked at: neither is the same as no settings."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"the settings file {path} cannot be looked at ({reason}): check path and rights") from None
    return True


def _file(path: Path) -> Path:
    try:
        is_file = path.is_file()
    except OSError as error:
        raise SettingsError(f"the settings file {path} cannot be read ({error.strerror}): check the rights") from None
    if not is_file:
        what = "a link to nothing" if not path.exists() else "no file"
        raise SettingsError(f"the settings file {path} is {what}: remove it, or make it one")
    return path


def _strict_yaml(text: str) -> Any:
    """What the text holds. YAML lets the last of two equal keys win: the topics of a first `topics:` would be lost."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        _refuse_equal_keys(node, set())
        return None if node is None else loader.construct_document(node)
    finally:
        loader.dispose()


def _refuse_equal_keys(node: yaml.Node | None, seen: set[int]) -> None:
    """Raise a YAMLError for a mapping with a key twice; each node is looked at once."""
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode) and keys.count(key.value) > 1:
                raise yaml.MarkedYAMLError(
                    problem=f"the key `{key.value}` stands there twice", problem_mark=key.start_mark
                )
            _refuse_equal_keys(value, seen)
    elif isinstance(node, yaml.SequenceNode):
        for one in node.value:
            _refuse_equal_keys(one, seen)
