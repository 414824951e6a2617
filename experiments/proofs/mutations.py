"""Small mistakes that can be planted in source code: a flipped sign, an index off by one, a missing term.

A mutation replaces a few bytes of the source, so that the diff shows the mistake only. By rule, nothing is planted
where tests are not expected to notice: docstrings, type hints, imports, decorators, assertions, texts of errors,
warnings and labels, ``__repr__``, branches for engines and modes that the tests do not run in (Theano, JAX), constants
that affect speed only, and chosen default values of settings.
"""

import ast
import bisect
import difflib
import itertools
import random
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

OPPOSITES = {
    "min": "max", "minimum": "maximum", "argmin": "argmax", "floor": "ceil", "any": "all", "sin": "cos",
    "zeros": "ones", "zeros_like": "ones_like", "sum": "mean", "append": "insert", "tanh": "sigmoid",
}  # fmt: skip
OPPOSITES |= {new: old for old, new in OPPOSITES.items() if old not in ("append", "sum", "tanh")}
del OPPOSITES["append"]
COMPARISONS = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "is": "is not", "is not": "is",
    "in": "not in", "not in": "in",
}  # fmt: skip
COMMUTATIVE = {"min", "max", "minimum", "maximum", "add", "isinstance", "issubclass", "suppress", "gcd", "range"}
SILENT_CALLS = {
    "print",
    "warn",
    "RnnaudioError",
    "ValueError",
    "TypeError",
    "cast",
    "TypeVar",
    "NewType",
    "default_rng",
}
SILENT_KEYWORDS = {
    "name",
    "title",
    "label",
    "labels",
    "description",
    "help",
    "message",
    "unit",
    "stacklevel",
    "dtype",
    "strict",
}
SILENT_FUNCTIONS = {"__repr__", "__str__", "describe", "__init_subclass__"}
ELSEWHERE = {"theano", "jax", "TYPE_CHECKING", "__main__"}  # words of conditions that do not hold in the tests


OF_SPEED = re.compile(r"^[A-Z_]*(WORK|BYTES|BLOCK|AT_ONCE)[A-Z_]*$")  # constants that change time and memory alone


class Mutation(NamedTuple):
    """Replacement of the bytes ``start`` to ``end`` of a source, on ``line``, by ``new``."""

    line: int
    kind: str
    start: int
    end: int
    new: str

    def applied(self, source: str) -> str:
        content = source.encode()
        return (content[: self.start] + self.new.encode() + content[self.end :]).decode()

    def diff(self, source: str) -> str:
        """The changed lines, before (marked -) and after (marked +)."""
        lines = difflib.unified_diff(source.splitlines(), self.applied(source).splitlines(), n=0, lineterm="")
        return "\n".join(line for line in lines if line[:3] not in ("---", "+++") and line[:2] != "@@")


def mutations_of(source: str) -> list[Mutation]:
    """All mutations of a source; a few do not compile, or do not change the program (see :func:`changes`)."""
    return _Sites(source).found()


def changes(mutation: Mutation, source: str) -> bool:
    """True if the mutated source compiles, and to a different syntax tree."""
    try:
        return ast.dump(ast.parse(mutation.applied(source))) != ast.dump(ast.parse(source))
    except SyntaxError:
        return False


def sample(sources: dict[str, str], n: int, seed: int) -> list[tuple[str, Mutation]]:
    """Sample ``n`` mutations of the sources, given by path; at most one per line.

    Lines are sampled uniformly, so that a file gets mutations in proportion to its lines that can be mutated; then a
    kind of mutation on the line is sampled, and a mutation of that kind. A larger sample with the same seed begins
    with the same mutations.
    """
    by_line: dict[tuple[str, int], list[Mutation]] = {}
    for path, source in sorted(sources.items()):
        for mutation in mutations_of(source):
            by_line.setdefault((path, mutation.line), []).append(mutation)
    places = sorted(by_line, key=lambda place: random.Random(f"{seed} {place}").random())
    drawn = ((path, _one_of(by_line[path, line], f"{seed} {path} {line}")) for path, line in places)
    return list(itertools.islice((pair for pair in drawn if changes(pair[1], sources[pair[0]])), n))


def _one_of(mutations: list[Mutation], key: str) -> Mutation:
    rng = random.Random(key)
    kind = rng.choice(sorted({mutation.kind for mutation in mutations}))
    return rng.choice([mutation for mutation in mutations if mutation.kind == kind])


class _Sites:
    """Visitor that walks the syntax tree of a source and collects its mutations."""

    def __init__(self, source: str):
        self._bytes = source.encode()
        self._lines = [0]
        for line in self._bytes.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._tree = ast.parse(source)
        self._mutations: list[Mutation] = []

    def found(self) -> list[Mutation]:
        self._visit(self._tree)
        return self._mutations

    # ------------------------------------------------------------ walking

    def _visit(self, node: ast.AST) -> None:
        for child in self._to_look_at(node):
            for maker in MAKERS:
                for kind, start, end, new in maker(self, child):
                    self._mutations.append(Mutation(bisect.bisect(self._lines, start), kind, start, end, new))
            self._visit(child)

    def _to_look_at(self, node: ast.AST) -> Iterator[ast.AST]:
        """Children of a node in which mutations are planted."""
        for field, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and not _is_silent(child) and not _is_declaration(node, field, child):
                    yield child

    # ------------------------------------------------------------ places in the source

    def span(self, node: Any) -> tuple[int, int]:
        start = self._lines[node.lineno - 1] + node.col_offset
        return start, self._lines[node.end_lineno - 1] + node.end_col_offset

    def text(self, node: Any) -> str:
        start, end = self.span(node)
        return self._bytes[start:end].decode()

    def between(self, left: Any, right: Any, words: str) -> tuple[int, int] | None:
        """Start and end, in bytes, of the operator between two operands; None if a comment is there as well."""
        start, end = self.span(left)[1], self.span(right)[0]
        gap = self._bytes[start:end].decode()
        core = gap.strip(" ()\n\\")
        if core != words:
            return None
        at = start + len(gap[: gap.index(core)].encode())
        return at, at + len(words.encode())


def _is_declaration(node: ast.AST, field: str, child: ast.AST) -> bool:
    """True for children that are not mutated because they only declare something, or do not run in the tests.

    These are types, decorators, bases, caught exceptions, branches for other engines and modes, and defaults of
    settings that are integers of 10 or more.
    """
    if isinstance(node, ast.AnnAssign | ast.arguments) and isinstance(child, ast.Constant):
        return type(child.value) is int and child.value >= 10
    if isinstance(node, ast.ClassDef | ast.ExceptHandler):
        return field != "body"
    if _is_elsewhere(node):
        return field in ("test", "body")
    return field in ("annotation", "returns", "decorator_list")


def _is_elsewhere(node: ast.AST) -> bool:
    """True for a condition on an engine, a mode or a type checker that the tests do not run with."""
    if not isinstance(node, ast.If | ast.IfExp):
        return False
    words = {n.id for n in ast.walk(node.test) if isinstance(n, ast.Name)}
    words |= {str(n.value) for n in ast.walk(node.test) if isinstance(n, ast.Constant)}
    return bool(words & ELSEWHERE)


def _is_silent(node: ast.AST) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom | ast.Raise | ast.Assert | ast.JoinedStr):
        return True
    if isinstance(node, ast.FunctionDef):
        return node.name in SILENT_FUNCTIONS
    if isinstance(node, ast.keyword):
        return node.arg in SILENT_KEYWORDS
    if isinstance(node, ast.Call):
        return _called(node) in SILENT_CALLS or _called(node) in ("debug", "info", "warning", "error")
    if isinstance(node, ast.Assign):
        return any(isinstance(t, ast.Name) and (t.id.startswith("__") or OF_SPEED.search(t.id)) for t in node.targets)
    return isinstance(node, ast.Expr) and (isinstance(node.value, ast.Constant) or _is_silent(node.value))


def _called(node: ast.Call) -> str:
    return str(getattr(node.func, "attr", None) or getattr(node.func, "id", ""))


# ---------------------------------------------------------------- kinds of mistakes

Found = Iterator[tuple[str, int, int, str]]  # kind, start, end, replacement
SIGNS = {ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*")}


def _is_text_or_list(node: ast.AST) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_text_or_list(node.left) or _is_text_or_list(node.right)
    lists = ast.JoinedStr | ast.List | ast.Tuple | ast.ListComp | ast.Dict
    return isinstance(node, lists) or (isinstance(node, ast.Constant) and isinstance(node.value, str | bytes))


def flipped_signs(sites: _Sites, node: ast.AST) -> Found:
    """Exchange + and -, or * and /, or remove a minus sign."""
    if isinstance(node, ast.BinOp) and type(node.op) in SIGNS and not _is_text_or_list(node):
        old, new = SIGNS[type(node.op)]
        if at := sites.between(node.left, node.right, old):
            yield "sign", *at, new
    if isinstance(node, ast.AugAssign) and type(node.op) in SIGNS and not _is_text_or_list(node.value):
        old, new = SIGNS[type(node.op)]
        if at := sites.between(node.target, node.value, f"{old}="):
            yield "sign", *at, f"{new}="
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
        start, _ = sites.span(node)
        yield "sign", start, start + 1, ""


def dropped_terms(sites: _Sites, node: ast.AST) -> Found:
    """Replace a sum, a difference or a product by one of its operands."""
    if not isinstance(node, ast.BinOp) or type(node.op) not in SIGNS or _is_text_or_list(node):
        return
    start, end = sites.span(node)
    yield "term", start, end, f"({sites.text(node.left)})"
    if isinstance(node.op, ast.Add | ast.Mult):
        yield "term", start, end, f"({sites.text(node.right)})"


def off_by_one(sites: _Sites, node: ast.AST) -> Found:
    """Add 1 to an integer, or subtract 1 from it."""
    if isinstance(node, ast.keyword) and node.arg in ("axis", "axes"):
        return
    if isinstance(node, ast.Constant) and type(node.value) is int:
        start, end = sites.span(node)
        yield "off by one", start, end, str(node.value + 1)
        if node.value > 0:
            yield "off by one", start, end, str(node.value - 1)


def shifted_slices(sites: _Sites, node: ast.AST) -> Found:
    """Make a slice begin or end one element off."""
    if not isinstance(node, ast.Slice) or (node.lower is None and node.upper is None):
        return
    start, end = sites.span(node)
    for bound in (node.lower, node.upper):
        if bound is not None and not isinstance(bound, ast.Constant | ast.UnaryOp):
            for change in ("+ 1", "- 1"):
                yield "slice", *sites.span(bound), f"({sites.text(bound)}) {change}"
    if node.lower is None:
        yield "slice", start, start, "1"
    if node.upper is None and node.step is None:
        yield "slice", end, end, "-1"


def wrong_axes(sites: _Sites, node: ast.AST) -> Found:
    """Replace axis=0 by axis=1, and axis=1, 2 or -1 by axis=0."""
    if isinstance(node, ast.keyword) and node.arg == "axis":
        value = sites.text(node.value)
        if value in ("0", "1", "2", "-1"):
            yield "axis", *sites.span(node.value), "1" if value == "0" else "0"


def other_comparisons(sites: _Sites, node: ast.AST) -> Found:
    """Replace a comparison by a similar one: < by <=, == by !=, in by not in."""
    if not isinstance(node, ast.Compare) or len(node.ops) != 1:
        return
    names = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}
    names |= {ast.Is: "is", ast.IsNot: "is not", ast.In: "in", ast.NotIn: "not in"}
    old = names[type(node.ops[0])]
    if at := sites.between(node.left, node.comparators[0], old):
        yield "comparison", *at, COMPARISONS[old]


def opposite_functions(sites: _Sites, node: ast.AST) -> Found:
    """Replace a function or operator by its opposite: max by min, ones by zeros, and by or."""
    is_sum = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "sum"
    if isinstance(node, ast.Call) and not is_sum and (new := OPPOSITES.get(_called(node))):
        _, end = sites.span(node.func)
        yield "opposite", end - len(_called(node)), end, new
    if isinstance(node, ast.BoolOp):
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        if at := sites.between(node.values[0], node.values[1], old):
            yield "opposite", *at, new
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "opposite", *sites.span(node), str(not node.value)


def swapped_branches(sites: _Sites, node: ast.AST) -> Found:
    """Negate a condition, or skip a check."""
    tests: list[ast.expr] = [node.test] if isinstance(node, ast.If | ast.IfExp) else []
    tests += node.ifs if isinstance(node, ast.comprehension) else []
    for test in tests if not _is_elsewhere(node) else []:
        start, end = sites.span(test)
        yield "condition", start, end, f"not ({sites.text(test)})"
        if isinstance(node, ast.If) and all(isinstance(statement, ast.Raise) for statement in node.body):
            yield "check", start, end, "False"


def swapped_neighbours(sites: _Sites, node: ast.AST) -> Found:
    """Exchange two neighbouring arguments, gates or results of the same kind."""
    if isinstance(node, ast.Call):
        rows = [] if _called(node) in COMMUTATIVE else node.args
    elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Tuple):
        rows = node.targets[0].elts
    elif isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load):
        rows = node.elts
    else:
        return
    for one, other in itertools.pairwise(rows):
        alike = type(one) is type(other) and isinstance(one, ast.Name | ast.Attribute | ast.Subscript | ast.BinOp)
        if alike and sites.text(one) != sites.text(other):
            (start, middle), (second, end) = sites.span(one), sites.span(other)
            between = sites._bytes[middle:second].decode()
            yield "swap", start, end, sites.text(other) + between + sites.text(one)


def removed_statements(sites: _Sites, node: ast.AST) -> Found:
    """Remove a call, an augmented assignment, or an assignment to an attribute or an element."""
    is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    is_kept = isinstance(node, ast.Assign) and not any(isinstance(t, ast.Name | ast.Tuple) for t in node.targets)
    if is_call or is_kept or isinstance(node, ast.AugAssign):
        yield "statement", *sites.span(node), "pass"


MAKERS: tuple[Callable[[_Sites, Any], Found], ...] = (
    flipped_signs, dropped_terms, off_by_one, shifted_slices, wrong_axes, other_comparisons, opposite_functions,
    swapped_branches, swapped_neighbours, removed_statements,
)  # fmt: skip
