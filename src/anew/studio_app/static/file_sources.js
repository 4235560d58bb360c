// The user's files, chosen or dropped. Folders are read bit by bit: a browser freezes while it lists a large folder at once.

/**
 * A file, which is opened when its turn comes; its path is relative to the folder that the files are copied to.
 * @typedef {{path: string, open: () => Promise<File>}} Entry
 * @typedef {{name: string, isFile: boolean, entries: AsyncIterable<Entry> | Iterable<Entry>}} Source
 */

/** Whether the browser can give a chosen folder bit by bit. */
export const HAS_PICKER = "showDirectoryPicker" in window;

/** Let the user choose a folder; null if they choose none. @returns {Promise<Source | null>} */
export async function pickFolder() {
  let folder;
  try {
    folder = await /** @type {any} */ (window).showDirectoryPicker();
  } catch (error) {
    if (/** @type {Error} */ (error).name === "AbortError") return null;
    throw error;
  }
  return { name: folder.name, isFile: false, entries: filesBelow(folder, "") };
}

/**
 * All files below a folder. Only names are kept until their turn: handles of 100,000 files take a gigabyte of memory.
 * @param {any} root @param {string} path of it @returns {AsyncGenerator<Entry>}
 */
async function* filesBelow(root, path) {
  const folders = [{ folder: root, path }];
  for (let next = folders.pop(); next; next = folders.pop()) {
    const { folder, path } = next;
    try {
      for await (const [name, handle] of folder.entries()) {
        if (isHidden(name)) continue;
        if (handle.kind === "directory") folders.push({ folder: handle, path: `${path}${name}/` });
        else yield { path: path + name, open: async () => (await folder.getFileHandle(name)).getFile() };
      }
    } catch (error) {
      yield unreadable(path || root.name, error);
    }
  }
}

/** Files or a folder, chosen with an input element. @param {File[]} files @returns {Source} */
export function fromInput(files) {
  const paths = files.map((file) => file.webkitRelativePath.split("/"));
  const isFolder = paths[0]?.length > 1;
  const entries = files.map((file, index) => ({ path: isFolder ? paths[index].slice(1).join("/") : file.name, open: async () => file }));
  const isFile = !isFolder && files.length === 1;
  const name = isFolder ? paths[0][0] : isFile ? stem(files[0].name) : "files";
  return { name, isFile, entries: entries.filter(({ path }) => !path.split("/").some(isHidden)) };
}

/**
 * Files and folders that were dropped. Call it before awaiting anything: the browser forgets them then.
 * @param {DataTransfer} transfer @returns {Promise<Source>}
 */
export async function fromDrop(transfer) {
  /** @type {any[]} */
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const loose = [...transfer.files];
  const entries = items.map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  // Handles freeze the page for a twentieth of the time that entries do.
  const asked = items.map((item) => item.getAsFileSystemHandle?.());
  let handles;
  try {
    handles = await Promise.all(asked);
  } catch {
    // some folders have no handles
    handles = [undefined];
  }
  if (items.length && handles.every(Boolean)) return together(handles.map(handleRoot));
  return entries.length ? together(entries.map(entryRoot)) : fromInput(loose);
}

/**
 * @typedef {{name: string, isFile: boolean, open: () => Promise<File>, below: (path: string) => AsyncGenerator<Entry>}} Root a file or folder that was dropped
 */

/** @param {any} handle @returns {Root} */
function handleRoot(handle) {
  return { name: handle.name, isFile: handle.kind === "file", open: () => handle.getFile(), below: (path) => filesBelow(handle, path) };
}

/** @param {any} entry @returns {Root} */
function entryRoot(entry) {
  return { name: entry.name, isFile: entry.isFile, open: opener(entry), below: (path) => filesIn(entry, path) };
}

/** @param {Root[]} roots @returns {Source} */
function together(roots) {
  const only = roots.length === 1 ? roots[0] : null;
  if (only && !only.isFile) return { name: only.name, isFile: false, entries: only.below("") };
  return { name: only ? stem(only.name) : "files", isFile: only !== null, entries: filesOf(roots.filter(({ name }) => !isHidden(name))) };
}

/** Several files and folders that were dropped together. @param {Root[]} roots @returns {AsyncGenerator<Entry>} */
async function* filesOf(roots) {
  for (const root of roots) {
    if (root.isFile) yield { path: root.name, open: root.open };
    else yield* root.below(`${root.name}/`);
  }
}

/** @param {any} root @param {string} path of it @returns {AsyncGenerator<Entry>} */
async function* filesIn(root, path) {
  const folders = [{ folder: root, path }];
  for (let next = folders.pop(); next; next = folders.pop()) {
    const { folder, path } = next;
    const reader = folder.createReader();
    try {
      for (;;) {
        // it returns a hundred at a time
        /** @type {any[]} */
        const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (!some.length) break;
        const visible = some.filter((entry) => !isHidden(entry.name));
        folders.push(...visible.filter((entry) => entry.isDirectory).map((entry) => ({ folder: entry, path: `${path}${entry.name}/` })));
        yield* visible.filter((entry) => entry.isFile).map((entry) => ({ path: path + entry.name, open: opener(entry) }));
      }
    } catch (error) {
      yield unreadable(path || folder.name, error);
    }
  }
}

/** @param {any} entry of a file @returns {() => Promise<File>} */
function opener(entry) {
  return () => new Promise((resolve, reject) => entry.file(resolve, reject));
}

/**
 * Stands for the files of a folder that cannot be read, so that the folder is reported as left out.
 * @param {string} path
 * @param {unknown} error
 * @returns {Entry}
 */
function unreadable(path, error) {
  return { path, open: () => Promise.reject(error) };
}

/** @param {string} name */
function isHidden(name) {
  return name.startsWith(".");
}

/** @param {string} name of a file */
function stem(name) {
  return name.replace(/\.[^.]*$/, "") || "files";
}
