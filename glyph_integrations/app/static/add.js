// Ways in for documents: paste, drop, choose, a file of the folder, the sample.

import { events, get } from "./api.js";
import { calm, complain } from "./banners.js";
import { $, bytes, fill, h, number, progress } from "./dom.js";
import { askForOpening } from "./opening.js";
import { ring, state } from "./state.js";

// `body` is a blob, or plain values. Asks for what a document needs to open; that goes with the next try and is kept nowhere.
async function take(method, path, body, name, after) {
  const opening = {};
  for (;;) {
    const needed = await tryOnce(method, path, body, opening, name, after);
    if (!needed) return;
    opening[needed.kind] = await askForOpening(name, needed);
    if (!opening[needed.kind]) return;
  }
}

async function tryOnce(method, path, body, opening, name, after) {
  const blob = body instanceof Blob;
  const sent = blob ? body : { ...body, ...opening };
  const headers = blob && opening.password ? { "X-Password": encodeURIComponent(opening.password) } : {};
  if (blob && opening.encoding) path += `&encoding=${opening.encoding}`;
  const stop = new AbortController();
  const telling = progress(() => stop.abort());
  telling.say(`Reading ${name}…`);
  $("banners").before(telling.element);
  telling.element.classList.add("floating");
  try {
    for await (const event of events(method, path, sent, stop.signal, headers)) {
      telling.tell(event);
      if (event.kind === "password" || event.kind === "encoding") return event;
      if (event.kind === "document") {
        state.documents = [...state.documents, event];
        calm();
        $("adder").close();
        after?.();
        ring("documents");
        ring("draw");
      }
    }
  } catch (error) {
    complain(error);
  } finally {
    telling.element.remove();
  }
  return null;
}

export async function addFiles(files) {
  for (const file of files) {
    const most = state.about.max_upload;
    if (file.size > most) {
      complain(`${file.name} has ${bytes(file.size)}; a document may have ${bytes(most)}.`);
      continue;
    }
    await take("PUT", `/api/documents?${new URLSearchParams({ name: file.name })}`, file, file.name);
  }
}

export const addSample = () => take("POST", "/api/documents", { sample: true }, "the sample");

const addText = (text, after) => take("PUT", "/api/documents?name=pasted.txt", new Blob([text]), "the text", after);

// A box that takes pasted text and dropped files.
export function addBox() {
  const text = h("textarea", {
    rows: 5, ariaLabel: "Text to draw as pages", spellcheck: false,
    placeholder: "Paste a long text here, or drop files anywhere on this page…",
  });
  const count = h("span", { className: "muted" });
  const add = h("button", { type: "submit", className: "primary", disabled: true }, "Draw the pages");
  const choose = h("input", { type: "file", multiple: true, className: "hidden", ariaLabel: "Choose files" });
  choose.addEventListener("change", () => addFiles([...choose.files]).then(() => (choose.value = "")));
  text.addEventListener("input", () => {
    add.disabled = !text.value.trim();
    count.textContent = text.value ? `${number([...text.value].length)} characters` : "";
  });
  const clear = () => {
    text.value = "";
    text.dispatchEvent(new Event("input"));
  };
  const folder = h("div", { className: "folder" });
  if (state.about.folder) listFolder(folder);
  return h(
    "form",
    { className: "card add-box", onsubmit: (event) => {
      event.preventDefault();
      addText(text.value, clear);
    } },
    text,
    h(
      "div",
      { className: "row" },
      add,
      h("button", { type: "button", onclick: () => choose.click() }, "Choose files…"),
      choose,
      count,
      h("span", { className: "muted grow right" }, `up to ${bytes(state.about.max_upload)} each`),
    ),
    folder,
  );
}

async function listFolder(box) {
  try {
    const { files } = await get("/api/files");
    if (!files.length) return;
    const list = h("select", { ariaLabel: "Files of the folder" }, ...files.map((name) => h("option", {}, name)));
    const open = () => take("POST", "/api/documents", { file: list.value }, list.value);
    fill(box, h("label", {}, "From the folder"), list, h("button", { type: "button", onclick: open }, "Open"));
  } catch (error) {
    complain(error);
  }
}

// Files may be dropped anywhere.
export function listenForDrops() {
  let depth = 0;
  const carries = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  const lit = (on) => document.body.classList.toggle("dropping", on);
  addEventListener("dragenter", (event) => {
    if (carries(event)) lit(++depth > 0);
  });
  addEventListener("dragleave", (event) => {
    if (carries(event)) lit(--depth > 0);
  });
  addEventListener("dragover", (event) => {
    if (carries(event)) event.preventDefault();
  });
  addEventListener("drop", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    lit((depth = 0) > 0);
    addFiles([...event.dataTransfer.files]);
  });
}
