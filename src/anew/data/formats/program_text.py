"""Whether a text with the suffix of a programming language reads like a program: some suffixes are also those of other texts."""

from __future__ import annotations

import re

# Perl and Prolog, Objective-C and MATLAB, R, assembler and S, Verilog and Coq, Fortran: also of quotes (`debian.pl`), notes, lists
SHARED_SUFFIXES = frozenset((".pl", ".m", ".r", ".s", ".v", ".f"))
MIN_SHARE = 0.1  # of the lines that are no comments: of prose and chats fewer than 2 in 100 match; chosen
# Heredocs, often of tables; Perl alone
_CERTAIN = re.compile(rb"<<\s*~?['\"]?[A-Z]{2,}|^use (strict|warnings)\b", re.MULTILINE)
_COMMENT = re.compile(r"\s*([#%*;!\"{}]|//|/\*|--|[cC] )")
_STATEMENT = re.compile(
    r".*[;{}]\s*$"  # ends like a statement or a block
    r"|\s*[$@%\w.\[\](){},:>-]{1,40}\s*(=|<-|:=|\+=)\s*\S"  # gives a name a value
    r"|.*:-|=\w+"  # a rule of Prolog, a section of Perl's own documentation
    r"|\s*(function|library|module|endmodule|begin|end|subroutine|program|integer|real|call|else|use|sub|package|import|@\w+)\b"
    r"[^,.!?]*[;)]?\s*$"
    r"|\s*(PROGRAM|SUBROUTINE|FUNCTION|INTEGER|REAL|COMMON|CALL|RETURN|CONTINUE|END)\b[^.!?]*$"  # Fortran in capitals
    r"|\s*(Lemma|Theorem|Proof|Qed|Definition|Require|Inductive|Fixpoint)\b.*\.\s*$"
    r"|\s*\.\w+|\s*[\w.$]+:\s*$|\s+[a-z]{2,7}\s+[%$\[\w-].*,"  # directives, marks and instructions of assemblers
)


def contradicts_suffix(suffix: str, head: bytes) -> bool:
    """Whether the beginning of a text contradicts its suffix, one of a programming language that other texts have, too.

    Few of their lines are statements then; comments do not count for either side.
    """
    if suffix not in SHARED_SUFFIXES or head.startswith(b"#!") or _CERTAIN.search(head):
        return False
    lines = [line for line in head.decode("latin-1").splitlines() if line.strip()]
    code_lines = [line for line in lines if _COMMENT.match(line) is None]
    n_statements = sum(_STATEMENT.match(line) is not None for line in code_lines)
    return n_statements < MIN_SHARE * len(code_lines)
