"""Files and folders that are dropped or chosen on the page, in a real browser: all of them arrive, bit by bit, and it can be stopped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from studio_app.test_browser import go, opened
from studio_runs import studio_process

# A chosen folder of the browser's own, which is a real handle: no driver can operate the system's window for folders.
PICKER = """window.showDirectoryPicker = async () => {
    const root = await navigator.storage.getDirectory();
    return root.getDirectoryHandle("many", { create: true });
}"""
WRITE = """async count => {
    const many = await window.showDirectoryPicker();
    const folders = await Promise.all(["a", "b", ".git"].map(name => many.getDirectoryHandle(name, { create: true })));
    const write = async (folder, name, text) => {
        const file = await (await folder.getFileHandle(name, { create: true })).createWritable();
        await file.write(text);
        await file.close();
    };
    for (let n = 0; n < count; n++) await write(folders[n % 2], `${n}.txt`, `text ${n}`);
    await write(many, "large.txt", "x".repeat(300000));
    await write(folders[2], "HEAD", "hidden");
}"""
ENDLESS = """window.showDirectoryPicker = async () => ({
    name: "endless",
    entries: async function* () {
        for (let n = 0; ; n++) {
            if (n % 500 === 499) await new Promise(resolve => setTimeout(resolve, 20));
            yield [`${n}.txt`, { kind: "file" }];
        }
    },
    getFileHandle: async name => ({ getFile: async () => new File(["x"], name) }),
});"""
UNSAFE = """window.showDirectoryPicker = async () => ({
    name: "unsafe",
    entries: async function* () { for (const name of ["a.txt", "b:c.txt", "nul.txt", "d."]) yield [name, { kind: "file" }]; },
    getFileHandle: async name => ({ getFile: async () => new File(["x"], name) }),
});"""
DAMAGED = """window.showDirectoryPicker = async () => ({
    name: "damaged",
    entries: async function* () {
        for (let n = 0; n < 5; n++) yield [`${n}.txt`, { kind: "file" }];
        yield ["gone", { kind: "directory", entries: async function* () { throw new Error("gone"); } }];
    },
    getFileHandle: async name => ({ getFile: async () => name === "3.txt" ? Promise.reject("gone") : new File(["x"], name) }),
});"""
LOOK = "**/api/look"  # takes seconds, and what Anew sees is tested elsewhere


def drop(page: Any, *paths: Path) -> None:
    """Drop files or folders on the page, as a file manager does."""
    box = page.locator(".drop").bounding_box()
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    place = {"x": box["x"] + box["width"] / 2, "y": box["y"] + 10}
    for event in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": event, **place, "data": data})


def arrived(root: Path, upload: str) -> dict[str, str]:
    """The files of an upload by their paths."""
    place = root / "uploads" / upload
    return {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}


def expected(count: int) -> dict[str, str]:
    return {f"{'ab'[n % 2]}/{n}.txt": f"text {n}" for n in range(count)} | {"large.txt": "x" * 300_000}


def write_tree(folder: Path, count: int) -> Path:
    for path, text in [*expected(count).items(), (".git/HEAD", "hidden"), (".hidden", "hidden")]:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


@contextmanager
def new_run(browser: Any, root: Path, script: str = "") -> Iterator[Any]:
    """A page on which data is chosen."""
    with studio_process(root) as (_, address), opened(browser, address, script=script) as page:
        page.route(LOOK, lambda route: None)
        go(page, "#/new")
        page.get_by_role("button", name="Choose a folder").wait_for()
        yield page


def copied(page: Any) -> str:
    """Wait until all is copied and the page asks what it is; its name."""
    page.wait_for_url(lambda url: "#/new/" in url)
    name = page.evaluate("decodeURIComponent(location.hash.slice(6))")
    go(page, "#/")
    page.get_by_text("Nothing here yet").wait_for()
    return str(name)


def test_a_chosen_folder_is_read_bit_by_bit(tmp_path: Path, browser: Any) -> None:
    sent: list[str] = []
    with new_run(browser, tmp_path, PICKER) as page:
        page.evaluate(WRITE, 900)
        page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
        assert page.locator("[data-input=folder]").count() == 0  # it would make an object of each file at once
        page.get_by_role("button", name="Choose a folder").click()
        assert copied(page) == "uploads/many"
    assert arrived(tmp_path, "many") == expected(900)
    assert sum("/api/bundle" in url for url in sent) == 3 and sum("/api/upload?" in url for url in sent) == 1


def test_a_browser_without_a_picker(tmp_path: Path, browser: Any) -> None:
    write_tree(tmp_path / "many", 30)
    with new_run(browser, tmp_path, "delete window.showDirectoryPicker") as page:
        page.set_input_files("[data-input=folder]", str(tmp_path / "many"))
        assert copied(page) == "uploads/many"
    assert arrived(tmp_path, "many") == expected(30)


@pytest.mark.parametrize("script", ["", "delete DataTransferItem.prototype.getAsFileSystemHandle"])
def test_what_is_dropped(script: str, tmp_path: Path, browser: Any) -> None:
    """One folder, one file, and several at once, whose names stay: they may be labels."""
    many = write_tree(tmp_path / "many", 450)
    with new_run(browser, tmp_path, script) as page:
        for paths, name in (
            ([many], "uploads/many"),
            ([many / "large.txt"], "uploads/large/large.txt"),
            ([many / "a", many / "b", many / "large.txt"], "uploads/files"),
        ):
            go(page, "#/new")
            page.locator(".drop").wait_for()
            drop(page, *paths)
            assert copied(page) == name
    assert arrived(tmp_path, "many") == arrived(tmp_path, "files") == expected(450)


def test_copying_is_stopped(tmp_path: Path, browser: Any) -> None:
    with new_run(browser, tmp_path, ENDLESS) as page:
        page.get_by_role("button", name="Choose a folder").click()
        status = page.locator(".drop [role=status]")
        status.get_by_text(re.compile(r"^Copied [1-9][0-9,]* of [0-9,]+ found so far")).wait_for()
        drop(page, tmp_path)
        page.get_by_text("Files are being copied already").wait_for()
        page.get_by_role("button", name="Stop").click()
        status.get_by_text(re.compile(r"^Stopped\. [0-9,]+ files are in uploads/endless\.$")).wait_for()
        count = int(status.inner_text().split()[1].replace(",", ""))
        assert page.get_by_role("button", name="Choose a folder").is_visible()
        page.get_by_role("button", name="Use what is there").click()
        assert copied(page) == "uploads/endless"
    assert len(arrived(tmp_path, "endless")) >= count > 0


def test_what_cannot_be_read_is_left_out_and_said(tmp_path: Path, browser: Any) -> None:
    with new_run(browser, tmp_path, DAMAGED) as page:
        page.get_by_role("button", name="Choose a folder").click()
        page.get_by_text("Left out, since it could not be read: gone/, 3.txt.").wait_for()
        copied(page)
    assert sorted(arrived(tmp_path, "damaged")) == ["0.txt", "1.txt", "2.txt", "4.txt"]


def test_a_name_that_cannot_be_used_is_left_out_and_said(tmp_path: Path, browser: Any) -> None:
    with new_run(browser, tmp_path, UNSAFE) as page:
        page.get_by_role("button", name="Choose a folder").click()
        left_out = "b:c.txt (with :), nul.txt (a device on Windows), d. (ends with a dot or a blank)"
        page.get_by_text(f"names cannot be used here: {left_out}.").wait_for()
        assert copied(page) == "uploads/unsafe"
    assert list(arrived(tmp_path, "unsafe")) == ["a.txt"]


def test_a_full_disk_ends_copying(tmp_path: Path, browser: Any) -> None:
    with studio_process(tmp_path) as (_, address):
        page = browser.new_page()
        page.goto(address)
        full = {"error": {"message": "x does not fit on the disk, where 2 GB stay free; free some space"}}
        page.route("**/api/bundle*", lambda route: route.fulfill(status=413, json=full))
        page.add_init_script(ENDLESS)
        page.goto(f"{page.url}#/new")
        page.reload()
        page.get_by_role("button", name="Choose a folder").click()
        page.get_by_text("X does not fit on the disk, where 2 GB stay free; free some space.").wait_for()
        assert page.get_by_role("button", name="Stop").is_hidden()
        page.close()
