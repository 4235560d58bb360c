"""Known records: kept where records do not repeat, and not sampled again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from anew.core.specs import Batch, Condition, SampleRequest, Tokens
from anew.estimators.key_fields import KeyField
from anew.families.transformer.config import TransformerConfig, TransformerSampling
from anew.families.transformer.drawing import recurring_keys
from anew.families.transformer.drawing.known_records import KnownRecords, are_documents_of
from anew.families.transformer.drawing.record_sampler import key_groups, record_lengths, with_rows
from anew.families.transformer.family import Transformer

SPECIAL = {"begin": 4, "end": 5, "pad": 5}
SPEC = Tokens(6, 3, packed=False, special=SPECIAL)
LETTERS = range(4)
# Half of the records of two letters.
RECORDS = np.array([[4, a, b, 5] for a in LETTERS for b in LETTERS if (a + b) % 2 == 0])


def make_family(records: np.ndarray, context_tokens: int = 2_000_000) -> Transformer:
    torch.manual_seed(0)
    config = TransformerConfig(layers=1, width=16, heads=1, mlp_size=32, ngram_order=2, context_tokens=context_tokens)
    family = Transformer(SPEC, config).eval()
    x = torch.from_numpy(records)
    family.fit_closed_form([Batch(x, mask=torch.ones(len(x), x.shape[1] - 1))])
    return family


def known_share(family: Transformer, n: int = 200, **sampling: object) -> float:
    *_, last = family.sample(SampleRequest(n, sampling=TransformerSampling(**sampling)), 0)  # type: ignore[arg-type]
    known = KnownRecords(SPECIAL)
    known.fit(list(RECORDS))
    return len(known.among(last.numpy())) / n


def test_known_records_are_drawn_again() -> None:
    family = make_family(RECORDS)
    assert known_share(family, avoid_known=False) > 0.1
    assert known_share(family) == 0.0


def test_a_list_with_some_repeats_gives_new_records() -> None:
    family = make_family(np.concatenate((RECORDS, RECORDS[: len(RECORDS) // 4])))
    assert family.known.is_fitted
    assert known_share(family) == 0.0


def test_where_most_records_repeat_samples_may_too() -> None:
    family = make_family(np.concatenate((RECORDS, RECORDS)))
    assert not family.known.is_fitted
    assert known_share(family) > 0.1


def test_a_sample_follows_from_its_key_alone() -> None:
    family = make_family(RECORDS)
    *_, together = family.sample(SampleRequest(20), 0)
    for index in range(20):
        *_, alone = family.sample(SampleRequest(1, first_index=index), 0)
        width = min(together.shape[1], alone.shape[1])
        assert torch.equal(together[index, :width], alone[0, :width]), index


def test_prompts_stay() -> None:
    family = make_family(RECORDS)
    prompts = torch.tensor([[0], [1], [2], [3]]).repeat(10, 1)
    *_, last = family.sample(SampleRequest(40, condition=Condition(prompts)), 0)
    assert torch.equal(last[:, :1], prompts)
    assert not len(family.known.among(last.numpy()))  # type: ignore[union-attr]


def test_hashes_are_of_the_content_of_whole_records() -> None:
    known = KnownRecords({**SPECIAL, "back": 3})
    rows = [[4, 0, 1, 5], [0, 1, 5, 5, 5], [3, 1, 0, 5], [4, 0, 1], [1, 0, 5], [3, 0, 1, 5], [], [5]]
    whole, padded, backwards, cut, *others = known.hashes_of([np.array(row, dtype=np.int64) for row in rows])
    assert whole is not None and whole == padded == backwards and cut is None
    assert whole not in others and others[0] == others[1] and others[2] is None and others[3] is not None


def test_texts_are_spelt_where_they_are_asked_for_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    known = KnownRecords(SPECIAL, (b"a", b"b", b"c", b"d", b"", b""))
    spelt: list[int] = []
    monkeypatch.setattr(known, "_text_of", lambda ids: spelt.append(len(ids)) or "no field")  # type: ignore[func-returns-value]
    known.fit([np.array([4, *map(int, np.base_repr(number, 4)), 5]) for number in range(10_000)])
    assert known.never_repeat and not known.key_fields
    assert 0 < len(spelt) <= 2_000  # they have no delimiter, which a sample shows


def test_both_orders_of_a_sequence_are_one_record() -> None:
    special = {**SPECIAL, "back": 3}
    records = [np.array([4, *divmod(i, 3), *divmod(i * i % 7, 3), 5]) for i in range(9)]
    backwards = [np.array([3, *record[-2:0:-1], 5]) for record in records]
    parts = [np.array([4, 0, 0, 0]), np.array([1, 2, 5])] * 2  # parts of a long sequence, which both orders have
    known = KnownRecords(special)
    known.fit([*records, *parts[:2], *backwards, *parts[2:]])
    assert len(known.stored()) == len(records) + 1
    assert len(known.among(records)) == len(known.among(backwards)) == len(records)
    assert not len(known.among(parts)) and not known.never_repeat  # too few to tell


def test_they_are_restored_and_checked() -> None:
    family, other = make_family(RECORDS), make_family(np.concatenate((RECORDS, RECORDS)))
    state = family.state_dict()
    assert "known.hashes" in state
    other.allocate_buffers({name: tensor.shape for name, tensor in state.items()})
    other.load_state_dict(state)
    other.check_state()
    assert known_share(other) == 0.0
    state["known.hashes"] = state["known.hashes"].flip(0)
    other.load_state_dict(state)
    with pytest.raises(ValueError, match="known records"):
        other.check_state()


def test_rows_are_padded_to_the_longest() -> None:
    draft = torch.tensor([[0, 5], [1, 5]])
    longer = with_rows(draft, np.array([1]), torch.tensor([[2, 2, 5]]), 9)
    assert longer.tolist() == [[0, 5, 9], [2, 2, 5]]
    shorter = with_rows(longer, np.array([0]), torch.tensor([[3]]), 9)
    assert shorter.tolist() == [[3, 9, 9], [2, 2, 5]] and draft.tolist() == [[0, 5], [1, 5]]


def test_records_are_found_among_rows_of_any_length() -> None:
    known = KnownRecords(SPECIAL)
    known.fit(list(RECORDS))
    others = np.array([[4, a, b, 5] for a in LETTERS for b in LETTERS if (a + b) % 2])
    rows = np.concatenate((others, RECORDS[::-1], [[4, 1, 2, 3]]))  # the last one has no end
    assert known.among(rows).tolist() == list(range(len(others), len(others) + len(RECORDS)))
    shorter = RECORDS[:, 1:]  # without the begin token
    assert len(known.among(shorter)) == len(RECORDS)


def test_of_records_that_were_cut_it_is_not_known() -> None:
    known = KnownRecords(SPECIAL)
    known.fit([*RECORDS, np.array([4, 1, 1, 1])])  # the last one was longer: its end is missing
    rows = [RECORDS[0], RECORDS[0][:3], np.array([4, 1, 1, 1, 1, 5]), np.array([4, 1, 1, 2, 1, 5])]
    # A record longer than all that were read whole is none of these, unless one that was cut begins as it does
    assert known.are_known(rows, 3) == [True, False, None, False]


def test_more_records_are_known_than_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 320,000 words half were known, and 7% of the samples were others of them."""
    assert known_share(make_family(RECORDS, 10)) == 0.0
    monkeypatch.setattr("anew.families.transformer.closed_form.MAX_KNOWN_TOKENS", 10)
    assert known_share(make_family(RECORDS, 10)) > 0.0


def test_records_that_are_counted_in_little_time_come_from_all_of_the_data() -> None:
    pairs = np.array([[4, a, a, 5] for a in (0, 1, 2, 3) for _ in range(100)])  # sorted by their letters
    few = make_family(pairs, 80)
    letters = few.mixer.counts.unigram[:4]
    assert letters.min() > 0.8 * letters.max()


@pytest.mark.parametrize("aligned", [False, True])
def test_no_tokens_can_be_counted(aligned: bool) -> None:
    config = TransformerConfig(layers=1, width=16, heads=1, mlp_size=32, context_tokens=0, aligned=aligned)
    family = Transformer(SPEC, config).eval()
    x = torch.from_numpy(RECORDS)
    family.fit_closed_form([Batch(x, mask=torch.ones(len(x), x.shape[1] - 1))])
    *_, last = family.sample(SampleRequest(2), 0)
    assert len(last) == 2


CHAIN = np.array([[4, *[a] * 12, 5] for a in LETTERS] * 5)  # records of 12 tokens, drawn by counts that know no place
CHAIN_SPEC = Tokens(6, 13, packed=False, special=SPECIAL)


def chain_lengths(records: np.ndarray = CHAIN, n: int = 200, **sampling: object) -> np.ndarray:
    """Lengths of samples with their ends, 0 without one. The counts forget how long a record is, and no lengths correct them."""
    torch.manual_seed(0)
    family = Transformer(CHAIN_SPEC, TransformerConfig(layers=1, width=16, heads=1, mlp_size=32, ngram_order=2)).eval()
    x = torch.from_numpy(records)
    family.fit_closed_form([Batch(x, mask=torch.ones(len(x), x.shape[1] - 1))])
    *_, last = family.sample(SampleRequest(n, sampling=TransformerSampling(**sampling)), 0)  # type: ignore[arg-type]
    return record_lengths(last.numpy(), SPECIAL)


def test_samples_that_are_cut_or_far_too_short_are_drawn_again() -> None:
    lengths, once = chain_lengths(), chain_lengths(max_tokens=CHAIN_SPEC.length)  # as many tokens as are asked for stay
    assert (once == 0).mean() > 0.05 and ((once > 0) & (once < 11)).mean() > 0.3
    assert (lengths == 0).mean() < 0.25 * (once == 0).mean()
    assert (lengths >= 12).mean() > 1.5 * (once >= 12).mean()


def test_where_records_are_cut_samples_may_be_too() -> None:
    cut = CHAIN.copy()
    cut[:10, -1] = 0  # longer than what is read of a record
    assert (chain_lengths(cut) == 0).mean() > 0.05


def test_a_number_of_tokens_that_was_asked_for_is_no_fault() -> None:
    assert (chain_lengths(max_tokens=4) == 0).mean() > 0.3


def test_lengths_count_the_end_but_not_the_beginning() -> None:
    ids = np.array([[0, 1, 5, 5], [4, 0, 5, 5], [0, 1, 2, 3]])
    assert record_lengths(ids, SPECIAL).tolist() == [3, 2, 0]


CODE_SPEC = Tokens(
    33,
    4,
    packed=False,
    special={"begin": 31, "end": 32},
    spellings=(*map(str.encode, "abcdefghijklmnopqrstuvwxyz0123 "), b"", b""),
)


def coded_family(num_codes: int) -> tuple[Transformer, set[tuple[int, ...]]]:
    """A family that was fitted to records such as "a7 b", and their codes."""
    rng = np.random.default_rng(0)
    codes = rng.permutation(900)[:num_codes]
    ends = np.full_like(codes, 32)
    records = np.stack((ends - 1, codes // 30, codes % 30, ends - 2, rng.integers(0, 30, num_codes), ends), 1)
    torch.manual_seed(0)
    config = TransformerConfig(layers=1, width=16, heads=1, mlp_size=32, ngram_order=2)
    family = Transformer(replace(CODE_SPEC, length=5), config).eval()
    x = torch.from_numpy(records)
    family.fit_closed_form([Batch(x, mask=torch.ones(len(x), x.shape[1] - 1))])
    return family, {tuple(record[1:3]) for record in records.tolist()}


def codes_of(family: Transformer, n: int, prompt: list[int] | None = None, **sampling: object) -> list[tuple[int, ...]]:
    condition = None if prompt is None else Condition(torch.tensor(prompt))
    request = SampleRequest(n, condition=condition, sampling=TransformerSampling(**sampling))  # type: ignore[arg-type]
    *_, last = family.sample(request, 0)
    return [tuple(row[: row.index(30)]) if 30 in row else () for row in last.tolist()]


def drawn_rows(family: Transformer, keys: list[tuple[int, int]]) -> list[list[int]]:
    """The content of samples with these keys."""
    *_, last = family.sample(SampleRequest(len(keys), keys=tuple(keys)), 0)
    return [row[: row.index(32)] if 32 in row else row for row in last.tolist()]


def test_codes_that_never_repeat_are_new_in_samples() -> None:
    family, known = coded_family(350)
    assert family.known.key_fields == (KeyField(" ", 0),)
    before, now = (codes_of(family, 60, avoid_known=is_on) for is_on in (False, True))
    assert len(known.intersection(before)) > 8 and not known.intersection(now)
    whole = [code for code in now if code]
    assert len(set(whole)) == len(whole) > 20
    assert codes_of(family, 20) == now[:20]  # the first samples are the same, however many are drawn


def test_requests_that_are_drawn_together_do_not_judge_each_other() -> None:
    family = coded_family(350)[0]
    alone = drawn_rows(family, [(0, i) for i in range(20)])
    twice = drawn_rows(family, [(0, i) for i in range(20)] * 2)
    assert twice[:20] == twice[20:] == alone
    others = drawn_rows(family, [(1, i) for i in range(10)])
    assert drawn_rows(family, [*((1, i) for i in range(10)), *((0, i) for i in range(20))]) == others + alone


def test_keys_are_grouped_by_seed_and_successive_indices() -> None:
    keys = [(0, 0), (0, 1), (0, 0), (0, 1), (1, 2), (1, 3), (1, 5)]
    assert key_groups(keys) == [0, 0, 1, 1, 2, 2, 3]
    assert key_groups([(7, 256)]) == [0]


def test_keys_of_samples_are_known_or_not_each_for_itself() -> None:
    family, codes = coded_family(350)
    known_code, other = next(iter(codes)), next((a, b) for a in range(30) for b in range(30) if (a, b) not in codes)
    rows = np.array([[31, *code, 30, 0, 32] for code in (other, known_code, other)])
    keys = family.known.keys_of(rows, np.full((3, 1), 31))
    assert [len(of_sample) for of_sample in keys] == [1, 1, 1]
    assert family.known.have_known_keys([[], *keys]).tolist() == [False, False, True, False]
    assert family.known.have_known_keys([[], []]).tolist() == [False, False]


def test_codes_repeat_where_those_of_few_records_do_not_tell() -> None:
    family, known = coded_family(100)
    assert not family.known.key_fields
    assert known.intersection(codes_of(family, 200))


def test_a_code_that_the_prompt_gives_stays() -> None:
    family, known = coded_family(350)
    code = next(iter(known))
    *_, last = family.sample(SampleRequest(8, condition=Condition(torch.tensor([*code, 30]))), 0)
    records = last.numpy()
    assert (records[:, :2] == code).all()
    assert len({record.tobytes() for record in records}) == 8  # whole records do not repeat either


def test_key_fields_are_restored_and_checked() -> None:
    family, known = coded_family(350)
    state = family.state_dict()
    other = coded_family(100)[0]
    other.allocate_buffers({name: tensor.shape for name, tensor in state.items()})
    other.load_state_dict(state)
    other.check_state()
    assert not known.intersection(codes_of(other, 40))
    other.load_state_dict({**state, "known.fields": torch.tensor([[ord(" "), -1]])})
    with pytest.raises(ValueError, match="key fields"):
        other.check_state()


def test_codes_that_most_first_draws_have_are_not_avoided(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where values are used up in a way that the data does not show, redrawing made samples of what is missing in the data."""
    family, known = coded_family(350)
    assert family.calibrates_drawing
    rows, prompts = np.array([[31, *code, 30, 0, 32] for code in known]), np.full((350, 1), 31)
    assert family.known.known_shares(rows, prompts) == {KeyField(" ", 0): 1.0}
    before = codes_of(family, 60)
    list(recurring_keys.leave_out_recurring_keys(family, lambda n, seed: SampleRequest(n)))
    assert family.known.key_fields and not family.remarks() and codes_of(family, 60) == before
    monkeypatch.setattr(recurring_keys, "MAX_KNOWN", 0.05)
    list(recurring_keys.leave_out_recurring_keys(family, lambda n, seed: SampleRequest(n)))
    assert not family.known.key_fields and family.known.recurring_fields == (KeyField(" ", 0),)
    assert not len(family.known.get_buffer("keys"))
    assert "in field 1, although hardly any two" in family.remarks()[0]
    assert codes_of(family, 60) != before and known.intersection(codes_of(family, 60))
    other = coded_family(100)[0]
    state = family.state_dict()
    other.allocate_buffers({name: tensor.shape for name, tensor in state.items()})
    other.load_state_dict(state)
    other.check_state()
    assert other.remarks() == family.remarks()


def test_fields_stay_where_there_is_no_time_to_draw_whole_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """All were drawn before the caller could stop, which took several seconds for long records."""
    family = coded_family(350)[0]
    monkeypatch.setattr(recurring_keys, "MAX_KNOWN", -1.0)
    steps = recurring_keys.leave_out_recurring_keys(family, lambda n, seed: SampleRequest(n))
    assert [next(steps), next(steps)] == [1, 2]
    assert family.known.key_fields and not family.known.recurring_fields
    list(steps)
    assert not family.known.key_fields and family.known.recurring_fields


def test_fields_are_left_out_one_after_the_other_with_their_keys() -> None:
    spellings = [*(bytes([48 + i]) for i in range(10)), b";", b"", b""]
    known = KnownRecords({"begin": 11, "end": 12}, spellings)
    random = np.random.default_rng(0)
    codes = random.choice(100_000, size=(400, 2), replace=False)
    texts = [f"{i % 7};{first:05d};{i % 9};{last:05d}" for i, (first, last) in enumerate(codes)]
    known.fit([np.array([11, *(10 if mark == ";" else int(mark) for mark in text), 12]) for text in texts])
    first, last = known.key_fields
    assert (first, last) == (KeyField(";", 1), KeyField(";", 3)) and len(known.get_buffer("keys")) == 800
    rows = np.array([[11, *(10 if mark == ";" else int(mark) for mark in texts[0]), 12]])
    known.leave_out_fields([first])
    assert len(known.get_buffer("keys")) == 400 and known.have_known_keys(known.keys_of(rows, rows[:, :1])).all()
    known.leave_out_fields([last])
    assert not len(known.get_buffer("keys")) and not known.key_fields
    assert known.recurring_fields == (first, last)
    known.check()


def test_only_whole_documents_of_the_training_text_are_known() -> None:
    text = np.array([0, 1, 5, 2, 3, 2, 5, 1, 5], dtype=np.int32)
    rows = [np.array(ids) for ids in ([2, 3, 2, 5], [3, 2, 5], [1, 5], [0, 2, 5], [0, 1])]
    assert are_documents_of(text, 5, rows) == [True, None, True, None, None]
    assert are_documents_of(text[:0], 5, rows[:1]) == [None]
