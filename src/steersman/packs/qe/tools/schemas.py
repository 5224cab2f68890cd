"""The records of a project: its dataclasses, pydantic models and JSON Schemas, with what is asked of each field."""

import ast
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from steersman.packs.qe.project.discovery import module_name, project_files
from steersman.packs.qe.project.sandbox import Sandbox
from steersman.packs.qe.tools.values import Kind, kind_of, plain

PERSONAL = ("name", "email", "mail", "phone", "address", "street", "birth", "ssn", "passport", "iban", "city", "contact")
"""Parts of the names of fields that hold what belongs to a person."""
_NOT_PERSONAL = ("file", "host", "user_agent", "class", "model", "table", "column")
_TEXT_KINDS = {"EmailStr": "email", "date": "date", "datetime": "datetime", "UUID": "uuid", "Decimal": "decimal"}
_BOUNDS = {"ge": "low", "le": "high", "gt": "above", "lt": "below", "min_length": "shortest", "max_length": "longest"}
_JSON_KINDS = {"integer": "int", "number": "float", "string": "str", "boolean": "bool", "null": "None"}
_JSON_BOUNDS = {"minimum": "low", "maximum": "high", "minLength": "shortest", "maxLength": "longest"}
_MOST_BYTES = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field. kind: of its values; "email", "date" … are texts of that form. model: another record. many: a list of it.

    low and high are both allowed, as are texts from `shortest` to `longest` characters.
    """

    name: str
    kind: Kind | None
    required: bool = True
    model: str = ""
    many: bool = False
    low: float = -math.inf
    high: float = math.inf
    shortest: int = 0
    longest: int = 40
    bounded: bool = False

    @property
    def personal(self) -> bool:
        """Whether the name says that a person's data is in it."""
        name = self.name.lower()
        return any(each in name for each in PERSONAL) and not any(each in name for each in _NOT_PERSONAL)


@dataclass(frozen=True, kw_only=True)
class Model:
    """A record: where it is defined, how it is built, and its fields. name: of the class, or the path of a JSON Schema."""

    file: str
    module: str
    name: str
    kind: Literal["dataclass", "pydantic", "json"]
    fields: tuple[Field, ...]


def models_of(sandbox: Sandbox) -> tuple[Model, ...]:
    """Return the records of the copy whose required fields are all understood; what does not parse is left out."""
    project = sandbox.project
    classes: dict[str, tuple[str, ast.ClassDef]] = {}
    for file in project.sources:
        try:
            tree = ast.parse(sandbox.read(file))
        except (SyntaxError, ValueError, OSError):
            continue
        classes |= {each.name: (file, each) for each in tree.body if isinstance(each, ast.ClassDef)}
    found = [_of_class(file, module_name(file, project.source_root), node, classes) for file, node in classes.values()]
    known = {each.name: each for each in found if each is not None}
    known = {name: each for name, each in known.items() if _understood(each, known)}
    return (*known.values(), *_json_schemas(sandbox.root))


def class_model(text: str, name: str, file: str, module: str) -> Model | None:
    """Return the record that a class of a text is; None where it is none."""
    classes = {each.name: (file, each) for each in ast.parse(text).body if isinstance(each, ast.ClassDef)}
    return _of_class(file, module, classes[name][1], classes) if name in classes else None


def _understood(model: Model, known: Mapping[str, Model]) -> bool:
    return bool(model.fields) and all(
        each.kind is not None or (each.model in known and each.model != model.name) or not each.required
        for each in model.fields
    )


def _of_class(file: str, module: str, node: ast.ClassDef, classes: Mapping[str, tuple[str, ast.ClassDef]]) -> Model | None:
    line = [*_ancestors(node, classes)]
    bases = {getattr(base, "id", getattr(base, "attr", "")) for each in line for base in each.bases}
    decorated = any("dataclass" in ast.unparse(each) for each in node.decorator_list)
    if node.name.startswith("_") or not (decorated or "BaseModel" in bases):
        return None
    fields: dict[str, Field] = {}
    for each in reversed(line):
        fields |= {field.name: field for field in _fields(each, classes)}
    kind: Literal["dataclass", "pydantic"] = "pydantic" if "BaseModel" in bases else "dataclass"
    return Model(file=file, module=module, name=node.name, kind=kind, fields=tuple(fields.values()))


def _ancestors(node: ast.ClassDef, classes: Mapping[str, tuple[str, ast.ClassDef]]) -> Iterator[ast.ClassDef]:
    yield node
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes and base.id != node.name:
            yield from _ancestors(classes[base.id][1], classes)


def _fields(node: ast.ClassDef, classes: Mapping[str, tuple[str, ast.ClassDef]]) -> Iterator[Field]:
    checked = dict(_checks(node))
    for each in node.body:
        if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and not each.target.id.startswith("_"):
            if "ClassVar" in ast.unparse(each.annotation) or each.target.id == "model_config":
                continue
            yield _bounded(_field(each, classes), [*_keywords(each), *checked.get(each.target.id, ())])


def _field(node: ast.AnnAssign, classes: Mapping[str, tuple[str, ast.ClassDef]]) -> Field:
    annotation = node.annotation
    match annotation:
        case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[inner, *_])):
            annotation = inner
    names = {each.id for each in ast.walk(annotation) if isinstance(each, ast.Name)}
    model = next((each for each in sorted(names) if each in classes), "")
    text = next((_TEXT_KINDS[each] for each in sorted(names) if each in _TEXT_KINDS), "")
    many = isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) in ("list", "List", "Sequence")
    single = isinstance(annotation, ast.Name | ast.Constant) or "None" in ast.unparse(annotation)
    return Field(
        name=node.target.id if isinstance(node.target, ast.Name) else "",
        kind=plain(text) if text else kind_of(annotation) if not model else None,
        required=_is_required(node.value),
        model=model if many or single or "Optional" in names else "",
        many=many,
    )


def _is_required(value: ast.expr | None) -> bool:
    match value:
        case None:
            return True
        case ast.Call(func=ast.Name(id="Field" | "field"), args=[ast.Constant(value=first), *_]):
            return first is ...
        case ast.Call(func=ast.Name(id="Field" | "field"), args=[], keywords=keywords):
            return not any(each.arg in ("default", "default_factory") for each in keywords)
        case _:
            return False


def _keywords(node: ast.AnnAssign) -> Iterator[tuple[str, float]]:
    """Yield the bounds in `Field(ge=1)`, wherever it stands."""
    for each in ast.walk(node):
        if isinstance(each, ast.keyword) and each.arg in _BOUNDS:
            number = _number(each.value)
            if number is not None:
                yield _BOUNDS[each.arg], number


def _checks(node: ast.ClassDef) -> Iterable[tuple[str, list[tuple[str, float]]]]:
    """Return, for each field, the bounds that stand in `if self.field < 1: raise`; a limit is what is still allowed."""
    refuses = {ast.Lt: "low", ast.LtE: "above", ast.Gt: "high", ast.GtE: "below"}
    found: dict[str, list[tuple[str, float]]] = {}
    for each in ast.walk(node):
        if isinstance(each, ast.If) and any(isinstance(inner, ast.Raise) for inner in each.body):
            for test in ast.walk(each.test):
                match test:
                    case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in refuses:
                        name, length = _own(left)
                        number = _number(right)
                        if name and number is not None:
                            bound = refuses[type(op)]
                            bound = {"low": "shortest", "high": "longest"}.get(bound, "") if length else bound
                            found.setdefault(name, []).append((bound, number))
    return found.items()


def _own(node: ast.expr) -> tuple[str, bool]:
    """Return the field that `self.x` or `len(self.x)` names, and whether it is its length."""
    match node:
        case ast.Attribute(value=ast.Name(id="self"), attr=name):
            return name, False
        case ast.Call(func=ast.Name(id="len"), args=[ast.Attribute(value=ast.Name(id="self"), attr=name)]):
            return name, True
        case _:
            return "", False


def _number(node: ast.expr) -> float | None:
    try:
        value = ast.literal_eval(node)
    except (ValueError, SyntaxError, TypeError):
        return None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _bounded(field: Field, bounds: Iterable[tuple[str, float]]) -> Field:
    step = 1.0 if field.kind == plain("int") else 0.01
    for name, value in bounds:
        match name:
            case "low" | "above":
                field = replace(field, low=value + (step if name == "above" else 0.0), bounded=True)
            case "high" | "below":
                field = replace(field, high=value - (step if name == "below" else 0.0), bounded=True)
            case "shortest":
                field = replace(field, shortest=int(value), longest=max(field.longest, int(value)), bounded=True)
            case "longest":
                field = replace(field, longest=int(value), bounded=True)
    return field


def _json_schemas(root: Path) -> Iterator[Model]:
    for path in sorted(each for each in project_files(root) if each.suffix == ".json"):
        schema = read_json(path)
        if isinstance(schema, dict) and schema.get("type") == "object" and isinstance(schema.get("properties"), dict):
            required = set(schema.get("required", ()))
            fields = tuple(_property(name, each, name in required) for name, each in schema["properties"].items())
            model = Model(file=path.relative_to(root).as_posix(), module="", name=str(path), kind="json", fields=fields)
            if _understood(model, {}):
                yield model


def _property(name: str, schema: Any, required: bool) -> Field:
    entry = schema if isinstance(schema, dict) else {}
    kind = _JSON_KINDS.get(str(entry.get("type")), "")
    options = tuple(entry.get("enum", ()))
    found = Kind(name="literal", options=options) if options else plain(kind) if kind and "pattern" not in entry else None
    bounds = [(mine, float(entry[theirs])) for theirs, mine in _JSON_BOUNDS.items() if theirs in entry]
    return _bounded(Field(name=name, kind=found, required=required), bounds)


def read_json(path: Path) -> Any:
    """Return the document of a file; None where it is too long or none."""
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.stat().st_size <= _MOST_BYTES else None
    except (OSError, ValueError):
        return None
