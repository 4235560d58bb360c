"""The answers of the server: FastAPI writes and describes them by these classes, and refuses fields that are not described."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

FinishReason = Literal["stop", "length"]
ClipStatus = Literal["queued", "in_progress", "completed", "failed"]
UnixSeconds = Annotated[int, Field(description="seconds since 1970")]
Base64 = Annotated[str, Field(description="a file as base64")]


class StrictAnswer(BaseModel):
    """An answer, or a part of one, without fields that are not described."""

    model_config = ConfigDict(extra="forbid")


class Health(StrictAnswer):
    """Answer of `GET /health`: all models were loaded once before the server began to listen."""

    status: Literal["ok"]


# ---- models ----


class Architecture(StrictAnswer):
    """Inputs and outputs of a model."""

    input_modalities: list[str]
    output_modalities: list[str]


class ModelDetails(StrictAnswer):
    """Facts about a model. Models of tokens have n_vocab and n_ctx_train; all others have shape and axes."""

    modality: str
    family: str
    n_params: int
    size: Annotated[int, Field(description="bytes of its weights")]
    labels: Annotated[list[str], Field(description="its classes")]
    fills_in: Annotated[bool, Field(description="whether it can keep given pixels")]
    has_likelihood: Annotated[bool, Field(description="whether it can score items")]
    loaded: Annotated[bool, Field(description="whether it is in memory now")]
    n_vocab: int | None = None
    n_ctx_train: int | None = None
    shape: list[int] | None = None
    axes: str | None = None


class ServedModel(StrictAnswer):
    """A model."""

    id: str
    object: Literal["model"]
    created: UnixSeconds
    owned_by: Literal["anew"]
    architecture: Architecture
    meta: ModelDetails


class ServedModels(StrictAnswer):
    """All models of the server."""

    object: Literal["list"]
    data: list[ServedModel]


# ---- text ----


class Usage(StrictAnswer):
    """Numbers of tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class CompletionLogProbs(StrictAnswer):
    """Log-probabilities of the tokens of a completion, in four lists of the same length."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CompletionChoice(StrictAnswer):
    """One continuation."""

    index: int
    text: str
    logprobs: CompletionLogProbs | None
    finish_reason: FinishReason | None


class Completion(StrictAnswer):
    """Continuations of the prompts of a request."""

    id: str
    object: Literal["text_completion"]
    created: UnixSeconds
    model: str
    choices: list[CompletionChoice]
    seed: int
    usage: Usage


class TopToken(StrictAnswer):
    """A token with its log-probability."""

    token: str
    logprob: float | None
    bytes: list[int]


class ChatToken(TopToken):
    """A token with its most probable alternatives."""

    top_logprobs: list[TopToken]


class ChatLogProbs(StrictAnswer):
    """Log-probabilities of the tokens of a chat's answer."""

    content: list[ChatToken]
    refusal: None


class ChatMessage(StrictAnswer):
    """The message that answers a chat."""

    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(StrictAnswer):
    """One answer to a chat."""

    index: int
    message: ChatMessage
    logprobs: ChatLogProbs | None
    finish_reason: FinishReason | None


class ChatCompletion(StrictAnswer):
    """Answers to a chat."""

    id: str
    object: Literal["chat.completion"]
    created: UnixSeconds
    model: str
    choices: list[ChatChoice]
    seed: int
    usage: Usage


class ScoredItem(StrictAnswer):
    """The likelihood of one item."""

    index: int
    bits: float
    units: Annotated[float, Field(description="number of its characters, residues or dimensions")]
    tokens: Annotated[int, Field(description="0 for models without tokens")]
    bits_per_unit: float | None


class ScoredItems(StrictAnswer):
    """The likelihood of the items of a request."""

    object: Literal["list"]
    model: str
    unit: Annotated[str, Field(description="character, residue or dimension")]
    bound: Annotated[str, Field(description='"exact", or "an upper bound" of the bits')]
    bits_per_unit: float | None
    notes: list[str]
    data: list[ScoredItem]


# ---- images and clips ----


class ImageData(StrictAnswer):
    """One image."""

    b64_json: Base64
    label: Annotated[str | None, Field(description="its class")]
    index: int


class ImagesResponse(StrictAnswer):
    """The images of a request."""

    created: UnixSeconds
    size: str
    output_format: Literal["png"]
    seed: int
    data: list[ImageData]


class ClipError(StrictAnswer):
    """Why a clip could not be made."""

    code: str
    message: str


class ClipJob(StrictAnswer):
    """A clip that is being made, or is finished."""

    id: str
    object: Literal["video"]
    model: str
    status: ClipStatus
    progress: Annotated[int, Field(description="percent")]
    created_at: UnixSeconds
    prompt: str
    size: str
    error: ClipError | None


class ClipJobs(StrictAnswer):
    """Clips that are being made or kept, newest first."""

    object: Literal["list"]
    data: list[ClipJob]
    has_more: bool


class DeletedClip(StrictAnswer):
    """A clip that was deleted."""

    id: str
    object: Literal["video.deleted"]
    deleted: Literal[True]
