"""Where a prompt ends within what a text would have as one token, such as the blank before a word: the tokens that may stand there.

Sub-words carry the blank in front, so that a blank alone at the end of a prompt is a token that hardly anything follows in texts. It
is drawn again as the tokens that a text would have there: one of the sequences whose text begins with the last word of the prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from anew.core.specs import PromptEnding
from anew.data.formats.text.tokenizer import SubWords, TextTokenizer

# Last tokens of a prompt in which its last word is looked for: more than a word has in a script with blanks; chosen
NUM_LOOKED_AT = 64


def prompt_ending(tokens: TextTokenizer, ids: Sequence[int]) -> PromptEnding | None:
    """Replacements for the last ids of a prompt. None where its last token can only be that token.

    ids: (n,) as a modality gives them: special ones, then text as `tokens.encode` gives it."""
    if not isinstance(tokens, SubWords):
        return None
    ids = ids[-NUM_LOOKED_AT:]
    num_text = next((place for place, index in enumerate(reversed(ids)) if index >= tokens.size), len(ids))
    ids = ids[len(ids) - num_text :]
    tail = tokens.decode(ids)
    if not tail:
        return None
    word = tokens.words(tail)[-1].encode()
    own = tokens.encode_bytes(word)
    if tuple(ids[len(ids) - len(own) :]) != own:
        return None
    # A word may go on in any token that begins where one of its own does. Blanks are cut in another way before a word.
    lengths = [len(tokens.pieces[token]) for token in own]
    starts = range(len(word)) if word.isspace() else [sum(lengths[:number]) for number in range(len(own))]
    sequences = {own} | _sequences(tokens, word, starts)
    num_shared = 0
    while len({sequence[: num_shared + 1] for sequence in sequences}) == 1:
        num_shared += 1
        if num_shared == len(own):
            return None
    return PromptEnding(own[num_shared:], tuple(sorted(sequence[num_shared:] for sequence in sequences)))


def _sequences(tokens: SubWords, word: bytes, starts: Iterable[int]) -> set[tuple[int, ...]]:
    """The ids of texts that begin with a word, each up to the token with which the word is complete.

    starts: The places in the word at which that token may begin."""
    sequences: set[tuple[int, ...]] = set()
    for start in starts:
        rest = word[start:]
        for token, piece in enumerate(tokens.pieces):
            if not piece.startswith(rest):
                continue
            try:
                ids = tokens.encode_bytes(word[:start] + piece)
            except UnicodeDecodeError:
                continue  # the same bytes mean something else within a character
            if ids[-1] == token:  # otherwise a text has other tokens there
                sequences.add(ids)
    return sequences
