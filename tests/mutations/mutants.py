"""Where a program can be changed at random, and into what: small mistakes, found in its syntax tree.

Comparisons, arithmetic, `and` and `or`, a condition and its contrary, numbers one too large or too small, True and
False, min and max, bounds of slices; arguments swapped or left out, statements dropped. Not strings, which are
messages, and not annotations, decorators and names with two underscores.
"""

import ast
import itertools
import re
from typing import NamedTuple

COMPARISONS = {"<": ("<=", ">"), "<=": ("<", ">="), ">": (">=", "<"), ">=": (">", "<="), "==": ("!=",), "!=": ("==",)}
COMPARISONS |= {"is not": ("is",), "is": ("is not",), "not in": ("in",), "in": ("not in",)}
ARITHMETIC = {"+": ("-",), "-": ("+",), "**": ("*",), "*": ("//",), "//": ("*",), "/": ("*",), "%": ("//",)}
ARITHMETIC |= {"&": ("|",), "|": ("&",), "<<": (">>",), ">>": ("<<",)}
LOGIC = {"and": ("or",), "or": ("and",)}
OPPOSITES = [("min", "max"), ("minimum", "maximum"), ("argmin", "argmax"), ("any", "all"), ("zeros", "ones")]
OPPOSITES = {name: other for pair in OPPOSITES for name, other in (pair, pair[::-1])}
PLAIN = (ast.Name, ast.Attribute, ast.Subscript, ast.Call, ast.Constant)  # need no brackets


class Change(NamedTuple):
    """The bytes [start, end) of the text become `new`; `first` and `last` are the lines of the statement around."""

    kind: str
    start: int
    end: int
    new: bytes
    first: int
    last: int


def changes(text):
    """All changes of a program; few of them leave none (``is_program``)."""
    finder = _Finder(text)
    finder.visit(ast.parse(text))
    return finder.found


def applied(text, change):
    """The text of the changed program."""
    data = text.encode()
    return (data[: change.start] + change.new + data[change.end :]).decode()


def is_program(text, change):
    """Whether the changed text is a program, and another one."""
    try:
        return ast.dump(ast.parse(applied(text, change))) != ast.dump(ast.parse(text))
    except SyntaxError:
        return False


class _Finder(ast.NodeVisitor):
    def __init__(self, text):
        self.data, self.found = text.encode(), []
        lengths = [len(line) for line in self.data.splitlines(keepends=True)]
        self.starts = [sum(lengths[:i]) for i in range(len(lengths) + 1)]
        self.statement, self.function = None, None

    # Places

    def start(self, node):
        return self.starts[node.lineno - 1] + node.col_offset

    def end(self, node):
        return self.starts[node.end_lineno - 1] + node.end_col_offset

    def text(self, node):
        return self.data[self.start(node) : self.end(node)]

    def in_brackets(self, node):
        return self.text(node) if isinstance(node, PLAIN) else b"(" + self.text(node) + b")"

    def add(self, kind, start, end, new):
        last = getattr(self.statement, "body", None)  # of a compound statement, its head
        last = max(last[0].lineno - 1, self.statement.lineno) if last else self.statement.end_lineno
        self.found.append(Change(kind, start, end, new, self.statement.lineno, last))

    def replace(self, kind, node, new):
        self.add(kind, self.start(node), self.end(node), new)

    def operator(self, kind, left, right, others):
        """The sign between two operands becomes another."""
        start, gap = self.end(left), self.data[self.end(left) : self.start(right)].decode("latin-1")  # byte by byte
        signs = sorted(others, key=len, reverse=True)
        found = re.search("|".join(rf"\b{s}\b" if s[0].isalpha() else re.escape(s) for s in signs), gap)
        for other in others[found[0]] if found else ():
            self.add(kind, start + found.start(), start + found.end(), other.encode())

    # Statements

    def visit(self, node):
        outer = self.statement
        if isinstance(node, ast.stmt):
            self.statement = node
        super().visit(node)
        self.statement = outer

    def visit_FunctionDef(self, node):
        outer, self.function = self.function, node
        for part in (*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body):
            self.visit(part)
        self.function = outer

    def visit_ClassDef(self, node):
        for part in node.body:
            self.visit(part)

    def visit_Expr(self, node):
        if isinstance(node.value, ast.Call):
            self.replace("dropped call", node, b"pass")
        self.generic_visit(node)

    def visit_Raise(self, node):
        self.replace("dropped raise", node, b"pass")
        self.generic_visit(node)

    def visit_Assign(self, node):
        names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        if any(name.startswith("__") for name in names):
            return
        if not any(isinstance(t, (ast.Tuple, ast.List)) for t in node.targets) and all(map(self.is_known, names)):
            self.replace("dropped assignment", node, b"pass")
        self.visit(node.value)

    def visit_AugAssign(self, node):
        self.replace("dropped assignment", node, b"pass")
        self.operator("arithmetic", node.target, node.value, ARITHMETIC)
        self.generic_visit(node)

    def visit_AnnAssign(self, node):
        if node.value:
            self.visit(node.value)

    def visit_Return(self, node):
        if self.function and node is not self.function.body[-1]:
            self.replace("dropped return", node, b"pass")
        self.generic_visit(node)

    def visit_Continue(self, node):
        self.replace("dropped continue", node, b"pass")

    def visit_Break(self, node):
        self.replace("dropped break", node, b"pass")

    def visit_If(self, node):
        self.contrary(node.test)
        self.generic_visit(node)

    def is_known(self, name):
        """Whether this variable has a value without the present statement: an argument, or one given more than once."""
        if self.function is None:
            return False
        arguments = self.function.args
        given = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        given += [n.id for n in ast.walk(self.function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
        return given.count(name) > 1

    # Expressions

    def contrary(self, condition):
        if not (isinstance(condition, ast.UnaryOp) and isinstance(condition.op, ast.Not)):
            self.replace("condition", condition, b"not " + self.in_brackets(condition))

    def visit_IfExp(self, node):
        self.contrary(node.test)
        self.generic_visit(node)

    def visit_comprehension(self, node):
        for condition in node.ifs:
            self.contrary(condition)
            self.replace("condition", condition, b"True")
        self.generic_visit(node)

    def visit_Compare(self, node):
        for left, right in zip([node.left, *node.comparators], node.comparators, strict=False):
            self.operator("comparison", left, right, COMPARISONS)
        self.generic_visit(node)

    def visit_BoolOp(self, node):
        for left, right in itertools.pairwise(node.values):
            self.operator("and, or", left, right, LOGIC)
        self.generic_visit(node)

    def visit_BinOp(self, node):
        if not any(_is_text(part) for part in ast.walk(node)):  # a path, or a message
            self.operator("arithmetic", node.left, node.right, ARITHMETIC)
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        if isinstance(node.op, (ast.Not, ast.USub)):
            self.replace("dropped sign", node, self.in_brackets(node.operand))
        self.generic_visit(node)

    def visit_Constant(self, node):
        if isinstance(node.value, bool):
            self.replace("constant", node, str(not node.value).encode())
        elif isinstance(node.value, int):
            for other in (node.value + 1, node.value - 1):
                self.replace("constant", node, f"{other}".encode())
        elif isinstance(node.value, float):
            self.replace("constant", node, f"{2 * node.value or 1.0}".encode())

    def visit_JoinedStr(self, node):
        pass

    def visit_Slice(self, node):
        for bound in (node.lower, node.upper):
            if bound and not isinstance(bound, ast.Constant):
                for other in (b" + 1", b" - 1"):
                    self.replace("slice", bound, self.in_brackets(bound) + other)
        self.generic_visit(node)

    def visit_Name(self, node):
        if node.id in OPPOSITES:
            self.replace("opposite", node, OPPOSITES[node.id].encode())

    def visit_Attribute(self, node):
        if node.attr in OPPOSITES:
            self.add("opposite", self.end(node) - len(node.attr), self.end(node), OPPOSITES[node.attr].encode())
        self.generic_visit(node)

    def visit_Tuple(self, node):
        if isinstance(node.ctx, ast.Load):
            self.swap("swapped elements", node.elts)
        self.generic_visit(node)

    def visit_Call(self, node):
        self.swap("swapped arguments", node.args)
        parts = sorted((*node.args, *node.keywords), key=self.start)
        for before, part in zip([None, *parts], parts, strict=False):
            if isinstance(part, ast.keyword) and part.arg and not _is_text(part.value):
                following = parts[parts.index(part) + 1 :]
                end = self.start(following[0]) if following and before is None else self.end(part)
                self.add("dropped keyword", self.end(before) if before else self.start(part), end, b"")
        self.generic_visit(node)

    def swap(self, kind, parts):
        """Neighbours of the same kind change places."""
        for a, b in itertools.pairwise(parts):
            if type(a) is type(b) and isinstance(a, (*PLAIN, ast.BinOp)) and not (_is_text(a) or _is_text(b)):
                gap = self.data[self.end(a) : self.start(b)]
                self.add(kind, self.start(a), self.end(b), self.text(b) + gap + self.text(a))


def _is_text(node):
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
