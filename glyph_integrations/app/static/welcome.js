// The first view: what this is, one page to see, and three ways in.

import { addBox, addSample } from "./add.js";
import { $, fill, h, number, ratio } from "./dom.js";

export function buildWelcome() {
  const figure = h("figure", { className: "specimen" });
  fill(
    $("welcome"),
    h(
      "div",
      { className: "hero" },
      h("h1", {}, "Long documents, read as pages"),
      h(
        "p",
        { className: "lead" },
        "Text drawn as page images costs a vision-language model a fraction of its tokens. See your pages as a model gets them, " +
          "ask, and follow every answer back to its line.",
      ),
      addBox(),
      h(
        "div",
        { className: "or" },
        h("span", {}, "Nothing at hand?"),
        h("button", { type: "button", className: "primary ghost", id: "try-sample", onclick: addSample }, "Try the sample: Python’s language reference"),
      ),
      h(
        "ul",
        { className: "promises" },
        h("li", {}, h("b", {}, "Stays here. "), "No network, no account, no model needed."),
        h("li", {}, h("b", {}, "Reads much. "), "Text, Markdown, HTML, code, PDF, scans, Office, EPUB, in any script."),
        h("li", {}, h("b", {}, "Can be checked. "), "Each quotation opens its page with the lines marked."),
      ),
    ),
    figure,
  );
  specimen(figure);
}

async function specimen(figure) {
  const response = await fetch("/api/sample.png").catch(() => null);
  if (!response || !response.ok) return figure.remove();
  const page = JSON.parse(response.headers.get("X-Page"));
  const image = h("img", { alt: "A page of Python’s language reference, drawn as a model gets it", src: "/api/sample.png" });
  fill(
    figure,
    h("div", { className: "sheet-of-paper" }, image),
    h(
      "figcaption",
      {},
      h("span", {}, h("b", {}, number(page.characters)), " characters"),
      h("span", {}, h("s", {}, number(page.text_tokens)), " → ", h("b", {}, number(page.tokens)), " tokens"),
      h("span", { className: "ratio" }, ratio(page.text_tokens, page.tokens)),
    ),
  );
}
