"""Mutation operators: generate the mutants of a source file, each with one change.

Only function bodies are mutated: no default arguments, decorators, annotations, or module and class
constants. Texts are not mutated either: arguments of exceptions and warnings, f-strings.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

BINARY: dict[type[ast.operator], type[ast.operator]] = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult},
    **{ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult},
    **{ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd},
    **{ast.LShift: ast.RShift, ast.RShift: ast.LShift},
}
COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt},
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In},
}
#: Functions and methods that are replaced by others.
REPLACED = {
    **{"min": "max", "max": "min", "minimum": "maximum", "maximum": "minimum"},
    **{"argmin": "argmax", "argmax": "argmin", "any": "all", "all": "any"},
    **{"sum": "mean", "mean": "sum", "median": "mean", "var": "std", "std": "var"},
    **{"floor": "ceil", "ceil": "floor", "rint": "floor", "zeros": "ones", "ones": "zeros"},
    **{"log1p": "log", "expm1": "exp", "log": "log1p", "exp": "expm1"},
    **{"log2": "log", "hypot": "maximum", "cdf": "sf", "sf": "cdf", "isf": "ppf", "ppf": "isf"},
    **{"triu": "tril", "tril": "triu", "left": "right", "right": "left"},
}
#: Functions and methods that are dropped: the call becomes its first argument, or the object.
DROPPED = {
    *("abs", "sqrt", "square", "log", "exp", "conj", "sorted", "reversed", "unique", "sort"),
    *("cumsum", "diff", "round", "trim_zeros", "ravel", "copy", "transpose"),
}
#: Keyword arguments that are not mutated, as no number depends on them.
HARMLESS = {
    *("dtype", "strict", "stacklevel", "encoding", "name", "desc", "unit", "optimize", "progress"),
}
#: Functions of warnings, logging, progress bars and types, whose calls are not mutated.
TEXTS = {"warn", "warning", "info", "debug", "progress_bar", "count", "cast", "TypeVar"}


class Mutant(NamedTuple):
    """One change of the source.

    Attributes:
        file: path below src/psiprune.
        function: qualified name of the mutated function.
        first, last: lines of the mutated statement, without its body; from 1.
        change: code before and after, and a count if it occurs several times in the function.
    """

    file: str
    function: str
    first: int
    last: int
    change: str

    @property
    def name(self) -> str:
        """Identifier that does not depend on line numbers."""
        return f"{self.file} {self.function}: {self.change}"


class _Place(NamedTuple):
    """A node in `parent.field`, or at a position of that list, and the statement around it."""

    parent: ast.AST
    field: str
    position: int | None
    statement: ast.stmt

    def put(self, node: ast.AST) -> None:
        if self.position is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.position] = node


def mutants(source: str, file: str) -> list[Mutant]:
    """Return all mutants of a source file."""
    seen: dict[tuple[str, str], int] = {}
    found = []
    for function, old, new, place in _changes(ast.parse(source)):
        change = f"{_text(old)} -> {_text(new)}"
        count = seen[function, change] = seen.get((function, change), 0) + 1
        change += f" ({count})" if count > 1 else ""
        found.append(Mutant(file, function, *_head(place.statement), change))
    return found


def mutated(source: str, number: int) -> ast.Module:
    """Return the syntax tree of a source file with mutant `number`, from 0."""
    tree = ast.parse(source)
    for k, (_, old, new, place) in enumerate(_changes(tree)):
        if k == number:
            place.put(ast.copy_location(new, old))
            return ast.fix_missing_locations(tree)
    raise IndexError(number)


def _text(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 90 else f"{text[:60]} … {text[-27:]}"


Change = tuple[str, ast.AST, ast.AST, _Place]


def _changes(tree: ast.Module) -> Iterator[Change]:
    """Yield the function, the node before and after, and its place, for each change."""
    for function, node in _functions(tree, ""):
        bound = {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
        for k, statement in enumerate(node.body):
            for old, place in _nodes(statement, _Place(node, "body", k, statement)):
                for new in _replacements(old, bound):
                    yield function, old, new, place
                if isinstance(old, ast.Name) and isinstance(old.ctx, ast.Store):
                    bound.add(old.id)


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield functions and methods; nested functions belong to the outermost one."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            if child.name not in ("__repr__", "_repr_html_"):
                yield prefix + child.name, child
        elif isinstance(child, ast.ClassDef):
            yield from _functions(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.If | ast.Try):
            yield from _functions(child, prefix)


def _nodes(node: ast.AST, place: _Place) -> Iterator[tuple[ast.AST, _Place]]:
    """Yield the nodes of a statement that are mutated, with their places."""
    if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom | ast.Assert):
        return
    call = node.value if isinstance(node, ast.Expr) else node
    if isinstance(call, ast.Call) and _called(call) in TEXTS:
        return
    if isinstance(node, ast.keyword) and node.arg in HARMLESS:
        return
    yield node, place
    if (
        isinstance(place.parent, ast.Call)
        and _called(place.parent) == "reshape"
        and _negative(node)
    ):
        return  # any negative length means the remaining one
    statement = _statement(node, place.statement)
    skipped = {"annotation", "returns", "args", "decorator_list"}
    for field, value in ast.iter_fields(node):
        if field in skipped and not isinstance(node, ast.Call):
            continue
        if isinstance(value, ast.AST):
            yield from _nodes(value, _Place(node, field, None, statement))
        elif isinstance(value, list):
            for k, child in enumerate(value):
                if isinstance(child, ast.AST):
                    yield from _nodes(child, _Place(node, field, k, _statement(child, statement)))


def _negative(node: ast.AST) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)


def _statement(node: ast.AST, around: ast.stmt) -> ast.stmt:
    return node if isinstance(node, ast.stmt) else around


def _head(statement: ast.stmt) -> tuple[int, int]:
    """Return the first and last line of a statement without its body."""
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if body else statement.end_lineno or statement.lineno
    return statement.lineno, max(last, statement.lineno)


def _called(node: ast.Call) -> str:
    function = node.func
    return str(getattr(function, "attr", None) or getattr(function, "id", ""))


def _replacements(node: ast.AST, bound: set[str]) -> Iterator[ast.AST]:
    """Yield the mutations of a node; `bound` has the names that are assigned before it."""
    match node:
        case ast.BinOp(left, operator, right) if type(operator) in BINARY and not _is_text(node):
            yield ast.BinOp(left, BINARY[type(operator)](), right)
        case ast.Compare(left, [operator, *others], comparators):
            yield ast.Compare(left, [COMPARISONS[type(operator)](), *others], comparators)
        case ast.BoolOp(operator, values):
            yield ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
        case ast.UnaryOp(ast.USub() | ast.Not() | ast.Invert(), operand):
            yield operand
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(float() as value):
            yield ast.Constant(2 * value or 1.0)
        case ast.If(test, body, orelse) if not isinstance(test, ast.Compare | ast.UnaryOp):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.IfExp(test, body, orelse) if not isinstance(test, ast.Compare | ast.UnaryOp):
            yield ast.IfExp(test, orelse, body)
        case ast.Call():
            yield from _other_calls(node)
        case ast.Attribute(value, "T"):
            yield value
        case ast.AugAssign(target, operator, value):
            if type(operator) in BINARY:
                yield ast.AugAssign(target, BINARY[type(operator)](), value)
            yield ast.Pass()
        case ast.Expr(ast.Call() | ast.Yield()) | ast.Break() | ast.Continue():
            yield ast.Pass()
        case ast.Assign([ast.Subscript() | ast.Attribute()], _):
            yield ast.Pass()
        case ast.Assign([ast.Name(name)], _) if name in bound:
            yield ast.Pass()


def _other_calls(node: ast.Call) -> Iterator[ast.AST]:
    function, name = node.func, _called(node)
    if name in REPLACED and not (name in {"sum", "any", "all"} and isinstance(function, ast.Name)):
        if isinstance(function, ast.Attribute):
            other: ast.expr = ast.Attribute(function.value, REPLACED[name], ast.Load())
        else:
            other = ast.Name(REPLACED[name], ast.Load())
        yield ast.Call(other, node.args, node.keywords)
    if name in DROPPED:
        if node.args and not isinstance(node.args[0], ast.Starred):
            yield node.args[0]
        elif isinstance(function, ast.Attribute):
            yield function.value
    for k, keyword in enumerate(node.keywords):
        if keyword.arg is not None and keyword.arg not in HARMLESS:
            yield ast.Call(function, node.args, node.keywords[:k] + node.keywords[k + 1 :])


def _is_text(node: ast.BinOp) -> bool:
    """Return whether it joins texts, lists of names or types."""
    for part in (node.left, node.right):
        if isinstance(part, ast.JoinedStr | ast.List | ast.Tuple | ast.Dict | ast.Set):
            return True
        if isinstance(part, ast.Constant) and (part.value is None or isinstance(part.value, str)):
            return True
    return False
