"""Paths for clips, which are made as jobs: created, polled while in progress, fetched, and deleted."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from anew.core.wording import are, plural
from anew.data.types import Artifact
from anew.server.answer_schemas import ClipError, ClipJob, ClipJobs, ClipStatus, DeletedClip
from anew.server.bodies import parse, parse_form
from anew.server.catalog import CatalogEntry
from anew.server.errors import ApiError
from anew.server.guard import form_body, json_body
from anew.server.item_bodies import VideoBody
from anew.server.item_tasks import Draft, FinishedSamples, ItemTask
from anew.server.items import check_size, class_of, item_request, sample_events, size_of, tasks_of
from anew.server.limits import Limits
from anew.server.schemas import route_schema
from anew.server.service import Service
from anew.server.worker import Channel

TAG = "Clips"
PROGRESS_DRAFTS = 8  # updates of the progress of a job; chosen


@dataclass(slots=True)
class VideoJob:
    """A clip that is being generated.

    Attributes:
        id: Its id for clients.
        prompt: The prompt as it was sent.
        created: Seconds since 1970.
        progress: Percent.
        clip: The file; None until it is finished.
        error: Why it failed; None otherwise.
        ended: `time.monotonic()` when it ended; None before.
        task: The task that runs it.
    """

    id: str
    entry: CatalogEntry
    prompt: str
    tasks: list[ItemTask]
    created: int = field(default_factory=lambda: int(time.time()))
    progress: int = 0
    clip: Artifact | None = None
    error: ApiError | None = None
    ended: float | None = None
    task: asyncio.Task[None] | None = None

    @property
    def status(self) -> ClipStatus:
        """Status, under OpenAI's names."""
        if self.error is not None:
            return "failed"
        if self.clip is not None:
            return "completed"
        return "in_progress" if self.progress else "queued"

    def update(self, event: Draft | FinishedSamples) -> None:
        """Update the progress after an event."""
        if isinstance(event, FinishedSamples):
            self.clip, self.progress = event.samples.artifact(0), 100
        else:
            self.progress = round(100 * (event.number + 1) / (PROGRESS_DRAFTS + 1))

    def to_answer(self) -> ClipJob:
        """The job as clients see it."""
        return ClipJob(
            id=self.id,
            object="video",
            model=self.entry.name,
            status=self.status,
            progress=self.progress,
            created_at=self.created,
            prompt=self.prompt,
            size=size_of(self.entry),
            error=None if self.error is None else ClipError(code="failed", message=str(self.error)),
        )


class Jobs:
    """All jobs of a server, in memory."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._jobs: dict[str, VideoJob] = {}

    @property
    def _limits(self) -> Limits:
        return self.service.limits

    def all(self) -> Iterable[VideoJob]:
        """All jobs that are in progress or kept, newest first."""
        self._delete_expired()
        return reversed(self._jobs.values())

    def job(self, id: str) -> VideoJob:
        """The job of this id; ApiError 404 if there is none."""
        self._delete_expired()
        if id not in self._jobs:
            raise ApiError(404, "clip not found; it may have expired", code="video_not_found")
        return self._jobs[id]

    def begin(self, body: VideoBody, entry: CatalogEntry) -> VideoJob:
        """Start to generate a clip.

        Raises:
            ApiError: 400 the body does not fit; 429 there are too many jobs, or the queue is full.
        """
        self._delete_expired()
        if len(self._jobs) >= self._limits.jobs:
            n = self._limits.jobs
            message = (
                f"{plural(n, 'clip')} {are(n)} in progress or kept, which is the limit; delete one, or try again later"
            )
            raise ApiError(429, message, code="too_many_videos", headers={"Retry-After": "30"})
        check_size(entry, body.size)
        label = class_of(entry, {"prompt": body.prompt, "label": body.label})
        sample_request = item_request(body, entry, 1, label=label, num_partials=PROGRESS_DRAFTS)
        tasks = tasks_of(sample_request, entry, Channel())
        entry.worker.submit(tasks)
        job = VideoJob(f"video_{secrets.token_hex(12)}", entry, body.prompt, tasks)
        self._jobs[job.id] = job
        job.task = asyncio.create_task(self._make(job))
        return job

    def delete(self, id: str) -> VideoJob:
        """Delete a job, finished or not."""
        job = self.job(id)
        job.entry.worker.cancel(job.tasks)
        if job.task is not None:
            job.task.cancel()
        return self._jobs.pop(id)

    async def _make(self, job: VideoJob) -> None:
        try:
            with self.service.metrics.clock(job.entry.name) as clock:
                async for event in sample_events(job.tasks, job.entry, clock):
                    job.update(event)
        except ApiError as error:
            job.error = error
        finally:
            job.ended = time.monotonic()

    def _delete_expired(self) -> None:
        oldest = time.monotonic() - self._limits.job_seconds
        self._jobs = {id: job for id, job in self._jobs.items() if job.ended is None or job.ended > oldest}


def add_video_routes(app: FastAPI, service: Service) -> None:
    """Add the paths to an app."""
    jobs, names = Jobs(service), service.catalog.names_for("video")

    @app.post(
        "/v1/videos",
        summary="Start to generate a clip",
        **route_schema("create_clip", TAG, VideoBody, answer=ClipJob, models=names),
    )
    async def begin(request: Request) -> ClipJob:
        if request.headers.get("content-type", "").startswith("multipart/"):
            fields, files = await form_body(request, service.limits)
            body = parse_form(VideoBody, fields | {name: "" for name in files})
        else:
            body = parse(VideoBody, await json_body(request, service.limits))
        entry = service.catalog.item_entry(body.model, "video")
        return jobs.begin(body, entry).to_answer()

    @app.get(
        "/v1/videos",
        summary="Clips in progress or kept",
        **route_schema("list_clips", TAG, answer=ClipJobs, models=names),
    )
    async def listed() -> ClipJobs:
        return ClipJobs(object="list", data=[job.to_answer() for job in jobs.all()], has_more=False)

    @app.get(
        "/v1/videos/{id}",
        summary="Status of a clip",
        **route_schema("get_clip", TAG, answer=ClipJob, models=names),
    )
    async def status(id: str) -> ClipJob:
        return jobs.job(id).to_answer()

    @app.get(
        "/v1/videos/{id}/content",
        summary="The file of a clip",
        **route_schema("get_clip_file", TAG, None, "video/mp4", models=names),
    )
    async def content(id: str) -> Response:
        job = jobs.job(id)
        if job.clip is None:
            raise job.error or ApiError(400, f"the clip is not ready: it is {job.status}", code="video_not_ready")
        return Response(job.clip.data, media_type=job.clip.media)

    @app.delete(
        "/v1/videos/{id}",
        summary="Delete a clip",
        **route_schema("delete_clip", TAG, answer=DeletedClip, models=names),
    )
    async def delete(id: str) -> DeletedClip:
        return DeletedClip(id=jobs.delete(id).id, object="video.deleted", deleted=True)
