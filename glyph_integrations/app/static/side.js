// The column beside the views: the documents, and how their pages look.

import { send } from "./api.js";
import { addBox, addSample, listenForDrops } from "./add.js";
import { complain } from "./banners.js";
import { $, bytes, fill, h, number } from "./dom.js";
import { stylePanel } from "./style.js";
import { on, ring, state } from "./state.js";

export function buildSide() {
  const list = h("ul", { className: "documents" });
  const adder = $("adder");
  fill(
    adder,
    h("header", {}, h("h2", {}, "Add a document"), h("button", { className: "close", ariaLabel: "Close", onclick: () => adder.close() }, "×")),
    addBox(),
    h("button", { type: "button", className: "quiet", onclick: addSample }, "Add the sample: Python’s language reference"),
  );
  fill(
    $("side"),
    h(
      "section",
      { className: "card" },
      h("div", { className: "row" }, h("h2", { className: "grow" }, "Documents"),
        h("button", { type: "button", id: "add-more", onclick: () => adder.showModal() }, "+ Add")),
      list,
    ),
    stylePanel(),
  );
  const draw = () => fill(list, state.documents.map(row));
  on("documents", draw);
  draw();
  listenForDrops();
}

function row(held) {
  const remove = async () => {
    try {
      await send("DELETE", `/api/documents/${held.id}`);
      state.documents = state.documents.filter((other) => other.id !== held.id);
      ring("documents");
      ring("draw");
    } catch (error) {
      complain(error);
    }
  };
  return h(
    "li",
    {},
    h("div", { className: "grow" }, h("span", { className: "name", title: held.name }, held.name),
      h("span", { className: "muted" }, `${number(held.characters)} characters · ${bytes(held.bytes)}`)),
    h("button", { type: "button", className: "close", ariaLabel: `Remove ${held.name}`, title: "Remove", onclick: remove }, "×"),
  );
}
