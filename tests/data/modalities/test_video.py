from __future__ import annotations

import io
import json
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from anew.core.specs import Condition, Grid
from anew.data.dataset import Dataset
from anew.data.formats.images.image_size import choose_size
from anew.data.formats.video import frames
from anew.data.formats.video.clip_shape import size_limits
from anew.data.modalities.video import Video, VideoConfig, frame_counts
from anew.data.types import DataBudget, FileSlice, Item
from anew.errors import ConfigError, DataError
from samples import clips, moving_dot, shapes

SIZE = DataBudget(60.0, 0, 0)


def film(path: Path, count: int, rate: int = 25, size: tuple[int, int] = (32, 24), codec: str = "libx264") -> Path:
    """A video whose frames get brighter, one by one, over a pattern of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(path.name.encode()))
    pattern = rng.integers(0, 30, (4, 4, 1)).repeat(size[1] // 4, 0).repeat(size[0] // 4, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index in range(count):
            values = np.repeat(pattern + 20 + 200 * index // count, 3, 2).astype(np.uint8)
            values[:4, (index % 8) * 4 : (index % 8) * 4 + 4] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(values, format="rgb24")))
        container.mux(stream.encode())
    return path


def sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        for _ in range(8):
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def gif(durations: list[int], mode: str = "RGB", seed: int = 0) -> bytes:
    """Squares of noise that grow; with alpha what is around them is clear."""
    rng = np.random.default_rng(seed)
    pictures = []
    for index in range(len(durations)):
        picture = Image.new(mode, (16, 16), (90, 90, 30, 0)[: len(mode)])
        side = 4 + index
        noise = rng.integers(0, 255, (side, side, 3), dtype=np.uint8)
        picture.paste(Image.fromarray(noise).convert(mode), (2, 2))
        pictures.append(picture)
    out = io.BytesIO()
    pictures[0].save(out, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0, disposal=2)
    return out.getvalue()


def fitted(folder: Path, **settings: object) -> Dataset:
    data = Dataset.open(folder, settings=settings, size=SIZE)
    data.fit(SIZE)
    return data


def test_content_tells_moving_pictures_from_still_ones(tmp_path: Path) -> None:
    still = io.BytesIO()
    Image.new("RGB", (16, 16)).save(still, "GIF")
    assert frames.sniff_video(still.getvalue()) == 0.0
    assert frames.sniff_video(moving_dot(0)) == 1.0
    assert frames.sniff_video(moving_dot(0)[:150]) >= 0.8  # cut before the second frame: it says that it repeats
    assert frames.sniff_video(film(tmp_path / "a.mp4", 5).read_bytes()) >= 0.8
    assert frames.sniff_video(b"\0\0\0\x20ftypavif" + bytes(20)) == 0.0
    assert frames.sniff_video(b"no video at all") == 0.0
    head = moving_dot(0)
    assert all(0.0 <= frames.sniff_video(head[:length]) <= 1.0 for length in range(len(head)))


def test_a_folder_of_gifs_is_what_most_of_them_are(tmp_path: Path) -> None:
    clips(tmp_path / "moving", 40)
    Image.new("RGB", (16, 16)).save(tmp_path / "moving" / "still.gif")
    assert Dataset.open(tmp_path / "moving", size=SIZE).modality.name == "video"
    for index in range(30):
        values = np.random.default_rng(index).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        (tmp_path / "still").mkdir(exist_ok=True)
        Image.fromarray(values).save(tmp_path / "still" / f"{index}.gif")
    (tmp_path / "still" / "one.gif").write_bytes(moving_dot(3))
    assert Dataset.open(tmp_path / "still", size=SIZE).modality.name == "image"


def test_clips_keep_their_own_length(tmp_path: Path) -> None:
    data = fitted(clips(tmp_path / "d", 60))
    assert data.spec.shape == (3, 7, 16, 16) and data.spec.axes == "CTHW" and data.spec.classes == 2
    batch = data.batch(0, "main", 0, 16, 16)
    assert batch.mask is not None and set(batch.mask.sum(1).tolist()) == {5, 6, 7}
    short = int((batch.mask.sum(1) == 5).nonzero()[0])
    assert (batch.x[short, :, 4] == batch.x[short, :, 6]).all()
    assert {len(clip) for clip in data.modality.decode(batch.x)} == {5, 6, 7}
    assert any("5 to 7 frames" in note for note in data.scan.notes)
    data.close()


@pytest.mark.parametrize(("seconds", "threads", "side"), [(60, 1, 24), (300, 2, 32), (600, 2, 64)])
def test_small_clips_keep_their_size_in_ten_minutes(seconds: float, threads: int, side: int) -> None:
    assert choose_size([(64, 64)], size_limits(DataBudget(seconds, 0, 0, threads))[0], "crop") == (side, side)


def test_a_long_video_becomes_many_clips_that_stay_together(tmp_path: Path) -> None:
    for index in range(3):
        film(tmp_path / f"{index}.mp4", 300)
    data = Dataset.open(tmp_path, size=SIZE)
    assert data.scan.items > 20
    spec = data.fit(SIZE)
    assert spec.shape[1] == size_limits(SIZE)[1] == 8
    video = data.modality
    assert isinstance(video, Video) and video.rate == pytest.approx(12.5)
    assert any("cut into clips of about 8 frames (at most 12) at 12.5 per" in note for note in data.scan.notes)
    clips = list(video.split_records(Item("0.mp4", FileSlice(tmp_path / "0.mp4"))))
    assert {item.group for item in clips} == {"0.mp4"}
    assert clips[0].data.at[0] == 0 and clips[-1].data.at[1] == 300
    assert all(a.data.at[1] == b.data.at[0] for a, b in pairwise(clips))
    late = video.encode(clips[-1]).astype(int)  # read by seeking: its frames are the bright ones
    assert late[:, :, 12:].mean() > 180
    data.close()


def test_cut_clips_have_at_most_as_many_frames_as_the_note_says(tmp_path: Path) -> None:
    video = Video(VideoConfig(frames=5))
    path = film(tmp_path / "long.mp4", 200)
    note = " ".join(video.inspect([Item("long.mp4", FileSlice(path))]))
    assert "clips of about 5 frames (at most 7)" in note
    items = [Item("a.mp4", FileSlice(film(tmp_path / f"{count}.mp4", count))) for count in range(4, 60)]
    spans = [clip.data.at for item in items for clip in video.split_records(item)]
    assert max(len(range(low, high, video._stride)) for low, high in spans) == 7


def test_parts_of_a_large_file_cover_it_once(tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", 200)
    video = Video(VideoConfig())
    video.size = SIZE
    video.inspect([Item("a.mp4", FileSlice(path))])
    cuts = [item.data.at for part in range(3) for item in video.split_records(Item("a.mp4", FileSlice(path, part, 3)))]
    assert cuts[0][0] == 0 and cuts[-1][1] == 200
    assert all(a[1] == b[0] for a, b in pairwise(cuts))


def test_other_rates_and_sizes_are_brought_together_and_said(tmp_path: Path) -> None:
    for index in range(12):
        film(tmp_path / f"a{index}.mp4", 10 + index, rate=10)
    film(tmp_path / "fast.webm", 60, rate=30, size=(64, 48), codec="libvpx-vp9")
    (tmp_path / "uneven.gif").write_bytes(gif([100, 300, 100, 200]))
    data = fitted(tmp_path)
    video = data.modality
    assert isinstance(video, Video) and video.rate * video._stride == pytest.approx(10.0)
    assert any(f"samples show each frame for {1000 / video.rate:.0f} ms" in note for note in data.scan.notes)
    assert any("differ in size" in note for note in data.scan.notes)
    uneven = frames.timing(tmp_path / "uneven.gif")
    assert not uneven.steady and uneven.at(10.0).tolist() == [0, 1, 1, 1, 2, 3, 3]
    assert len(frames.timing(tmp_path / "fast.webm").at(10.0)) == 20
    data.close()


@pytest.mark.parametrize(("width", "mode"), [(16, "RGB"), (21, "RGB"), (21, "RGBA")])
def test_frames_of_gifs_are_exact(tmp_path: Path, width: int, mode: str) -> None:
    shown = np.random.default_rng(width).integers(0, 2, (5, 19, width, len(mode)), dtype=np.uint8) * 255
    shown[..., :3] *= shown[..., 3:] // 255 if mode == "RGBA" else 1
    first, *later = map(Image.fromarray, shown)
    first.save(tmp_path / "a.gif", save_all=True, append_images=later, duration=100, disposal=2)
    pictures = frames.pictures(tmp_path / "a.gif", range(5), frames.timing(tmp_path / "a.gif").times, 64)
    assert [picture.mode for picture in pictures] == [mode] * 5
    for picture, values in zip(pictures, shown, strict=True):
        clear = np.asarray(picture)[..., 3:] == 0 if mode == "RGBA" else False
        assert np.array_equal(np.where(clear, 0, np.asarray(picture)), values)
    small = frames.pictures(tmp_path / "a.gif", range(5), frames.timing(tmp_path / "a.gif").times, 4)
    assert [picture.mode for picture in small] == [mode] * 5 and small[0].size < pictures[0].size


def test_transparent_gifs_keep_their_alpha(tmp_path: Path) -> None:
    for index in range(20):
        (tmp_path / f"{index}.gif").write_bytes(gif([100] * (5 + index % 3), "RGBA", index))
    data = fitted(tmp_path)
    assert data.spec.shape[0] == 4
    clip = data.items("train", 1)[0]
    assert clip.shape[-1] == 4 and clip[..., 3].min() == 0 and clip[..., 3].max() == 255
    artifact = data.modality.save_item(data.modality.decode(data.batch(0, "main", 0, 1, 1).x)[0])
    with Image.open(io.BytesIO(artifact.also[0].data)) as image:
        assert image.n_frames >= 4
        assert image.convert("RGBA").getextrema()[3][0] == 0
    data.close()


@pytest.mark.parametrize(
    ("name", "reason"),
    [("empty", "empty"), ("text", "not a video"), ("one frame", "single frame"), ("cut gif", "truncated"),
     ("one piece", "truncated"), ("cut mp4", "not a video"), ("sound", "no video stream"), ("gone", "cannot be read")],
)  # fmt: skip
def test_what_is_no_video_is_refused_with_a_reason(name: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "x.mp4"
    if name == "sound":
        sound(path)
    elif name != "gone":
        still = io.BytesIO()
        Image.new("RGB", (16, 16)).save(still, "GIF")
        whole = film(tmp_path / "whole.mp4", 20).read_bytes()
        path.write_bytes({"empty": b"", "text": b"words " * 50, "one frame": still.getvalue(),
                          "cut gif": moving_dot(1)[:-300],
                          "one piece": still.getvalue()[:-4] + b";\x01",
                          "cut mp4": whole[: len(whole) // 2]}[name])  # fmt: skip
    refusal = Video(VideoConfig()).validate_header(Item("x", FileSlice(path)))
    assert refusal is not None and reason in refusal and "\n" not in refusal


def test_a_body_that_is_cut_off_is_refused_when_it_is_read(tmp_path: Path) -> None:
    path = film(tmp_path / "a.webm", 60, codec="libvpx-vp9", size=(64, 64))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3] + bytes(len(whole) // 3))
    video = Video(VideoConfig())
    reason = video.validate_header(Item("a", FileSlice(path)))
    if reason is None:  # its index says that all is there
        timing = frames.timing(path)
        with pytest.raises(ValueError, match="truncated"):
            frames.pictures(path, list(range(len(timing.times))), timing.times, 64)


def test_frames_over_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "a.mp4", 5)
    monkeypatch.setattr(frames, "MAX_FRAME_PIXELS", 500)
    with pytest.raises(ValueError, match="over the limit"):
        frames.timing(path.read_bytes())


def test_only_the_first_frames_of_endless_videos_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = film(tmp_path / "a.mp4", 60)
    monkeypatch.setattr(frames, "MAX_FRAMES", 50)
    timing = frames.timing(path.read_bytes())
    assert timing.cut and len(timing.times) == 50


def test_bad_files_among_good_ones_are_named_and_skipped(tmp_path: Path) -> None:
    clips(tmp_path, 40)
    (tmp_path / "right" / "bad.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(100))
    (tmp_path / "down" / "cut.gif").write_bytes(moving_dot(5)[:-200])
    data = fitted(tmp_path)
    assert data.scan.skipped == 2
    assert {refusal.name for refusal in data.scan.skipped_items} == {"right/bad.mp4", "down/cut.gif"}
    data.close()


def test_nothing_usable_says_why(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(100))
    with pytest.raises(DataError, match="not a video"):
        Dataset.open(tmp_path, size=SIZE)


def test_prompts_are_beginnings_and_ends(tmp_path: Path) -> None:
    data = fitted(clips(tmp_path / "d", 60))
    video = data.modality
    assert isinstance(video, Video)
    path = tmp_path / "start.gif"
    path.write_bytes(moving_dot(0, frames=3))
    condition = video.condition_from_prompt(video.prompt_file(path))
    assert condition.x.shape == (3, 7, 16, 16) and condition.mask is not None
    assert condition.mask.flatten().tolist() == [1, 1, 1, 0, 0, 0, 0]
    between = video.condition_from_prompt(str(path), str(path))
    assert between.mask is not None and between.mask.flatten().tolist() == [1, 1, 1, 0, 1, 1, 1]
    long = tmp_path / "long.gif"
    long.write_bytes(moving_dot(0, frames=20))
    assert video.condition_from_prompt(str(long)).x.shape[1] == 20
    with pytest.raises(ConfigError, match="prompt"):
        video.condition_from_prompt(str(tmp_path / "none.gif"))
    data.close()


def test_prompts_may_be_pictures_and_folders_of_frames(tmp_path: Path) -> None:
    data = fitted(clips(tmp_path / "d", 60))
    video = data.modality
    with Image.open(io.BytesIO(moving_dot(0, frames=3))) as image:
        for number in range(image.n_frames):
            image.seek(number)
            target = tmp_path / "frames" / f"f{number + 7}.png"
            target.parent.mkdir(exist_ok=True)
            image.convert("RGB").save(target)
    image = Image.open(target)
    image.save(tmp_path / "still.gif", duration=100, loop=0)
    image.convert("L").save(tmp_path / "grey.jpg")
    for path in (target, tmp_path / "still.gif", tmp_path / "grey.jpg"):
        condition = video.condition_from_prompt(video.prompt_file(path), str(target))
        assert condition.mask is not None and condition.mask.flatten().tolist() == [1, 0, 0, 0, 0, 0, 1]
    assert (
        np.abs(
            np.asarray(video.condition_from_prompt(str(target)).x[:, 0])
            - np.asarray(image).transpose(2, 0, 1) / 127.5
            + 1
        ).max()
        < 1e-5
    )
    condition = video.condition_from_prompt(video.prompt_file(target.parent))
    assert condition.mask is not None and condition.mask.flatten().tolist() == [1, 1, 1, 0, 0, 0, 0]
    (tmp_path / "cut.gif").write_bytes(moving_dot(5)[:-200])
    (tmp_path / "words.txt").write_text("no picture")
    for odd in (tmp_path / "cut.gif", tmp_path / "words.txt", tmp_path):
        with pytest.raises(
            ConfigError, match="give a short video, an animated GIF, a picture, or a folder of numbered"
        ):
            video.condition_from_prompt(str(odd))
    data.close()


def test_what_is_written_opens_again(tmp_path: Path) -> None:
    data = fitted(clips(tmp_path / "d", 40))
    artifact = data.modality.save_item(data.modality.decode(data.batch(0, "main", 0, 1, 1).x)[0])
    with av.open(io.BytesIO(artifact.data)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        assert min(stream.width, stream.height) >= 128
        assert sum(1 for _ in container.decode(stream)) >= 4
    assert artifact.media == "video/mp4" and artifact.also[0].suffix == ".gif"
    data.close()


def test_length_is_where_a_clip_last_changes() -> None:
    rows = np.zeros((3, 1, 6, 2, 2), np.uint8)
    rows[1, :, 3:] = 9
    rows[2, 0, 5, 1, 1] = 1
    assert frame_counts(rows).tolist() == [1, 4, 6]


def framed(folder: Path) -> Path:
    """24 clips as folders of numbered frames, each before a background of its own."""
    for index in range(24):
        with Image.open(io.BytesIO(moving_dot(index, size=24))) as image:
            for number in range(image.n_frames):
                image.seek(number)
                target = folder / ("right", "down")[index % 2] / f"{index:02d}" / f"frame_{number + 1}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                picture = Image.new("RGB", (24, 24), tuple(np.random.default_rng(index).integers(0, 255, 3)))
                picture.paste(image.convert("RGB").crop((4, 4, 24, 24)), (4, 4))
                picture.save(target)
    return folder


def test_folders_of_numbered_frames_are_clips_and_numbered_pictures_are_not(tmp_path: Path) -> None:
    data = fitted(framed(tmp_path / "clips"))
    assert data.modality.name == "video" and data.scan.items == 24 and data.spec.classes == 2
    assert any("folders of numbered pictures" in note for note in data.scan.notes)
    batch = data.batch(0, "main", 0, 8, 8)
    assert batch.mask is not None and set(batch.mask.sum(1).tolist()) <= {5, 6, 7}
    data.close()
    assert Dataset.open(shapes(tmp_path / "pictures", 60), size=SIZE).modality.name == "image"
    for index in range(40):  # counted without a gap, and yet no frames
        values = np.random.default_rng(index).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        (tmp_path / "counted" / "ab"[index % 2]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(values).save(tmp_path / "counted" / "ab"[index % 2] / f"{index // 2}.png")
    assert Dataset.open(tmp_path / "counted", size=SIZE).modality.name == "image"


def test_folders_with_the_same_numbers_are_named_as_possible_clips(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (13, 6, 16, 16), dtype=np.uint8)
    for number, clip in enumerate(noise):
        (tmp_path / f"game{number:02}").mkdir()
        for index, frame in enumerate(clip):
            Image.fromarray(frame).save(tmp_path / f"game{number:02}" / f"{index:03}.png")
    data = Dataset.open(tmp_path, size=SIZE)
    (note,) = [note for note in data.scan.notes if "same numbers" in note]
    assert data.modality.name == "image"
    assert "13 folders" in note and "000.png to 005.png" in note and "modality video" in note
    data.close()
    assert not any("same numbers" in note for note in Dataset.open(tmp_path, modality="image", size=SIZE).scan.notes)


def test_what_else_lies_in_folders_of_frames_is_ignored(tmp_path: Path) -> None:
    for folder in [path for path in framed(tmp_path).glob("*/*")]:
        (folder / "Thumbs.db").write_bytes(b"of a file manager")
    (folder / "masks").mkdir()
    data = fitted(tmp_path)
    assert data.modality.name == "video" and data.scan.items == 24
    data.close()


def test_a_missing_number_leaves_a_folder_a_clip(tmp_path: Path) -> None:
    (framed(tmp_path) / "down" / "01" / "frame_3.png").unlink()
    data = fitted(tmp_path)
    assert data.modality.name == "video" and data.scan.items == 24 and not data.scan.other
    data.close()


def test_folders_of_numbered_pictures_are_clips_where_video_is_asked_for(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for index in range(120):  # what no look would take for frames
        target = tmp_path / f"{index // 10}" / f"{3 * index}.png"
        target.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)).save(target)
    assert Dataset.open(tmp_path, size=SIZE).modality.name == "image"
    data = Dataset.open(tmp_path, size=SIZE, modality="video")
    data.fit(SIZE)
    assert data.scan.items == 12 and data.spec.shape[1] == 5
    again = Dataset.reopen(data.state(), tmp_path)
    assert again.scan.items == 12
    with pytest.raises(DataError, match=r"holds no clips; it holds images; .* each clip need a folder of their own"):
        Dataset.reopen(data.state().model_copy(update={"asked": False}), tmp_path)
    again.close()
    data.close()


def paletted(count: int, seed: int) -> np.ndarray:
    """(n, 3, 5, 8, 8) squares of two colours that move over black, as stored."""
    colours = np.array([[0, 0, 0], [200, 40, 40], [40, 200, 90]], np.uint8)
    rng = np.random.default_rng(seed)
    rows = np.zeros((count, 5, 8, 8), int)
    for clip in rows:
        colour, (y, x) = rng.integers(1, 3), rng.integers(0, 4, 2)
        for t, frame in enumerate(clip):
            frame[y : y + 3, (x + t) % 6 : (x + t) % 6 + 3] = colour
    return colours[rows].transpose(0, 4, 1, 2, 3)


def matching_video() -> Video:
    video = Video(VideoConfig())
    video.spec = Grid((3, 5, 8, 8), "CTHW", 0, 0.5)
    real = video.batch(paletted(64, 0), None, None).x
    noise = torch.randn(16, 3, 5, 8, 8, generator=torch.Generator().manual_seed(2))
    video.calibrate(video.batch(paletted(16, 1), None, None).x + 0.1 * noise, real)
    return video


def test_samples_get_the_colours_of_the_data_and_end_where_they_stop() -> None:
    video = matching_video()
    rows = paletted(4, 3)
    rows[:, :, 3:] = rows[:, :, 2:3]  # three frames, the last one held
    noise = np.random.default_rng(4).normal(size=(4, 3, 3, 8, 8))
    x = video.batch(rows, None, None).x.numpy()
    x[:, :, :3] += 0.1 * noise
    x[:, :, 3:] = x[:, :, 2:3]
    clips = video.decode(x)
    assert [len(clip) for clip in clips] == [3] * 4
    palette = {tuple(colour) for colour in rows.transpose(0, 2, 3, 4, 1).reshape(-1, 3)}
    assert {tuple(colour) for clip in clips for colour in clip.reshape(-1, 3)} <= palette
    assert np.mean([np.mean(clip == item) for clip, item in zip(clips, video.to_items(rows), strict=True)]) > 0.98
    plain = Video(VideoConfig())
    plain.spec = video.spec
    assert len({tuple(colour) for clip in plain.decode(x) for colour in clip.reshape(-1, 3)}) > 50


def test_pictures_of_clips_of_any_length_have_one_shape() -> None:
    video = matching_video()
    clips = [np.random.default_rng(6).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8) for n in (5, 3)]
    whole, padded = video.pictures(clips)
    assert whole.shape == padded.shape and np.array_equal(whole, video.picture(clips[0]))
    assert np.array_equal(padded[:, :24], video.picture(clips[1])) and np.array_equal(padded[:, 24:32], clips[1][2])


def test_given_frames_stay_as_they_are() -> None:
    video = matching_video()
    frames_given = np.random.default_rng(5).integers(0, 256, (3, 2, 8, 8), dtype=np.uint8)
    values = torch.from_numpy(frames_given.astype(np.float32) / 127.5 - 1)
    clip = np.full((5, 8, 8, 3), 40, np.uint8)
    mask = torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    (filled,) = video.keep_known([clip], Condition(values, mask))
    assert np.array_equal(filled[0], frames_given[:, 0].transpose(1, 2, 0)) and np.array_equal(filled[1:], clip[1:])


def test_what_was_matched_is_kept_in_the_run(tmp_path: Path) -> None:
    video, again = matching_video(), Video(VideoConfig())
    video._source_rate = 10.0
    again.restore(json.loads(json.dumps(video.state())), tmp_path)
    assert again.matching == video.matching and again.matching.is_paletted


def test_frames_of_large_clips_are_looked_at_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clips(tmp_path, 80)
    monkeypatch.setattr("anew.data.formats.video.clip_glimpses.KEPT_PIXELS", 4000)
    decoded: list[int] = []
    glimpse = Video.glimpse
    monkeypatch.setattr(Video, "glimpse", lambda self, item, side: (decoded.append(side), glimpse(self, item, side))[1])
    monkeypatch.setattr("anew.core.isolation._inside", True)
    data = Dataset.open(tmp_path, modality="video", size=SIZE)
    data.fit(SIZE)
    assert 16 <= sum(map(bool, decoded)) < len(decoded) and data.spec.shape[0] == 3


def test_real_clips_come_in_the_form_of_small_samples() -> None:
    def clip(count: int, milliseconds: int) -> Item:
        return Item("a", FileSlice(Path("a.gif"), body=gif([milliseconds] * count)))

    video = Video(VideoConfig())
    assert video.settings_like([clip(6, 100)], [clip(12, 50)]) == {"frames": 6, "rate": 10.0}
    assert video.settings_like([clip(12, 50)], [clip(6, 100)]) == {}
    assert video.settings_like([clip(8, 80)], [clip(16, 80)]) == {"frames": 8, "rate": 12.5}  # their beginnings
    assert video.settings_like([clip(24, 80)], [clip(32, 80)]) == {"frames": 12, "rate": 6.25}  # both are thinned
    assert video.settings_like([clip(16, 80)], [clip(16, 80)]) == {}


def test_clips_are_cut_to_their_beginnings_where_rate_and_length_are_given(tmp_path: Path) -> None:
    paths = [tmp_path / f"{count}.gif" for count in (16, 12, 5)]
    for path in paths:
        path.write_bytes(gif([80] * int(path.stem)))
    items = [Item(path.name, FileSlice(path)) for path in paths]

    def spans(**settings: object) -> tuple[list[list[tuple[int, int]]], Video, str]:
        video = Video(VideoConfig(**settings))  # type: ignore[arg-type]
        notes = video.inspect(items)
        return [[clip.data.at for clip in video.split_records(item)] for item in items], video, " ".join(notes)

    cut, video, note = spans(frames=8, rate=12.5)
    assert cut == [[(0, 8)], [(0, 8)], [(0, 5)]] and video.rate == 12.5
    assert note == "Clips have up to 16 frames, of which the first 8 are used: as asked."
    thinned, video, note = spans(frames=8)
    assert (
        thinned == [[(0, 16)], [(0, 12)], [(0, 5)]]
        and video.rate == 6.25
        and "One frame in 2 of a clip is used, mostly up to 8 of 16:" in note
    )
    assert spans(rate=12.5)[0] == thinned and not spans(rate=12.5)[2]


def test_notes_on_data_that_is_only_compared_say_nothing_of_learning(tmp_path: Path) -> None:
    for index in range(12):
        path = tmp_path / f"{index}.gif"
        path.write_bytes(gif([40, 120, 80, 80], seed=index))
    notes = []
    for size in (SIZE, DataBudget(None, 0, 0, only_compared=True)):
        data = Dataset.open(tmp_path, modality="video", settings={"size": "8x8", "rate": 6.25}, size=size)
        data.fit(size)
        notes.append(" ".join(data.scan.notes))
        assert data.division_notes and all(note in data.scan.notes for note in data.division_notes)
        data.close()
    learned, compared = notes
    assert "Videos have 12.5 frames per second, not all at a steady rate: all are read at 6.25, and samples" in learned
    assert "not all at a steady rate: all are read at 6.25." in compared
    assert "are learned at 8x8: as asked" in learned and "are compared at 8x8: as the samples are" in compared
    assert "samples will have no other" not in compared


def test_gifs_whose_palette_is_lost_in_a_smaller_size_say_so(tmp_path: Path) -> None:
    for index in range(12):
        (tmp_path / f"{index}.gif").write_bytes(gif([80] * 6, seed=index))
    data = Dataset.open(tmp_path, modality="video", settings={"size": "10x10"}, size=SIZE)
    data.fit(SIZE)
    assert (
        "The files have palettes, but the frames, as they are learned, share none: samples will have no palette."
        in data.scan.notes
    )
    assert (
        isinstance(data.modality, Video)
        and data.modality.form() == "6 frames of 10x10 pixels, in colour, 12.5 per second"
    )
    data.close()


def test_a_sample_of_one_frame_is_a_clip_by_its_comment() -> None:
    clip = np.zeros((1, 8, 8, 3), np.uint8)
    origin = 'anew={"run":"r","seed":0}'
    sample, picture = frames.gif(clip, 8.0, origin), frames.gif(clip, 8.0)
    assert frames.sniff_video(sample) == 1.0 > frames.sniff_video(picture)
    assert len(frames.timing(sample).times) == 1
    with pytest.raises(ValueError, match="a single frame"):
        frames.timing(picture)


def test_enlarged_pixel_art_is_learned_at_its_true_size_and_written_enlarged(tmp_path: Path) -> None:
    drawings = np.random.default_rng(0).integers(0, 2, (20, 6, 24, 24), dtype=np.uint8) * 225 + 20
    art = drawings.repeat(2, 2).repeat(2, 3)
    for number, clip in enumerate(art):
        (tmp_path / "clips" / f"{number:02}").mkdir(parents=True)
        for index, frame in enumerate(clip):
            Image.fromarray(frame).save(tmp_path / "clips" / f"{number:02}" / f"{index:03}.png")
    modality = Video(VideoConfig())
    budget = DataBudget(3600.0, 20, 10_000, 1)
    items = [Item(f"{n:02}", FileSlice(tmp_path / "clips" / f"{n:02}", at=(0, 6))) for n in range(20)]
    modality.inspect([Item(item.name, FileSlice(tmp_path / "clips" / item.name)) for item in items], budget)
    modality.fit(items, budget, ())
    assert modality.spec.shape[2:] == (24, 24)  # type: ignore[union-attr]
    row = modality.encode(items[0])
    assert np.array_equal(row[0], drawings[0])
    assert any("enlarged 2 times" in note and "size=48" in note for note in modality.remarks())
    gif_file = tmp_path / "sample.gif"
    (clip,) = modality.to_items(row[None])
    gif_file.write_bytes(modality.save_as(clip, "gif").data)
    assert np.array_equal(modality.encode(Item("sample", FileSlice(gif_file, at=(0, 6)))), row)
    assert frames.timing(gif_file).width == 48
